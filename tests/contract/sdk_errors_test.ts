/**
 * The errors of the known SDK (npm `microsandbox` 0.6.18, `dist/errors.d.ts`), and what stands for each here.
 *
 * @module
 */
import assert from "node:assert/strict";
import * as api from "../../mod.ts";
import { test } from "../support/harness.ts";
import { readModule } from "./source_files.ts";

/** By class: the SDK's code, and the classes of ours that say the same. */
const SDK: Readonly<Record<string, { readonly code: string; readonly ours: readonly string[] }>> = {
  IoError: { code: "io", ours: ["IoError"] },
  LibkrunfwNotFoundError: { code: "libkrunfwNotFound", ours: ["LibkrunfwNotFoundError"] },
  DatabaseError: { code: "database", ours: ["DatabaseError"] },
  InvalidConfigError: { code: "invalidConfig", ours: ["InvalidConfigError"] },
  NoDefaultCommandError: { code: "noDefaultCommand", ours: ["NoDefaultCommandError"] },
  SandboxNotFoundError: { code: "sandboxNotFound", ours: ["SandboxNotFoundError"] },
  SandboxAlreadyExistsError: { code: "sandboxAlreadyExists", ours: ["SandboxAlreadyExistsError"] },
  SandboxReplacedError: { code: "sandboxReplaced", ours: ["SandboxReplacedError"] },
  SandboxStillRunningError: { code: "sandboxStillRunning", ours: ["SandboxStillRunningError"] },
  SandboxNotRunningError: { code: "sandboxNotRunning", ours: ["SandboxNotRunningError"] },
  ProtocolError: { code: "protocol", ours: ["ProtocolError"] },
  MetricsUnavailableError: { code: "metricsUnavailable", ours: ["MetricsUnavailableError"] },
  ExecTimeoutError: { code: "execTimeout", ours: ["ExecTimeoutError"] },
  ImageNotFoundError: { code: "imageNotFound", ours: ["ImageNotFoundError"] },
  ImageInUseError: { code: "imageInUse", ours: ["ImageInUseError"] },
  UnsupportedError: { code: "unsupported", ours: ["UnsupportedError"] },
  SandboxFsOpsError: {
    code: "sandboxFsOps",
    ours: ["SandboxFsOpsError", "FileNotFoundError", "PermissionDeniedError", "FileLimitError"],
  },
  // Here one class with a code of its own stands for each thing that can be wrong.
  ImageError: { code: "image", ours: ["ImageError"] },
  RuntimeError: { code: "runtime", ours: ["BootStartError", "EngineUnavailableError", "LibkrunCallError"] },
  // The same class by both names.
  HttpError: { code: "http", ours: ["ImageRegistryError"] },
  NixError: { code: "nix", ours: ["IoError"] },
  JsonError: { code: "json", ours: ["ImageManifestInvalidError"] },
  UnsupportedOperationError: { code: "unsupportedOperation", ours: ["UnsupportedError"] },
  CustomError: { code: "custom", ours: ["InternalError"] },
  VolumeNotFoundError: { code: "volumeNotFound", ours: ["VolumeNotFoundError"] },
  VolumeAlreadyExistsError: { code: "volumeAlreadyExists", ours: ["VolumeAlreadyExistsError"] },
  // Never thrown: what they are about does not exist here.
  CloudHttpError: { code: "cloudHttp", ours: ["CloudHttpError"] },
  TerminalError: { code: "terminal", ours: ["TerminalError"] },
  PatchFailedError: { code: "patchFailed", ours: ["PatchFailedError"] },
  MetricsDisabledError: { code: "metricsDisabled", ours: ["MetricsDisabledError"] },
};

const EXPORTS: Readonly<Record<string, unknown>> = api;
const CODES = readModule("src/base/errors.ts");

test("each class of the known SDK is exported, and is, or is the parent of, what stands for it here", () => {
  for (const [name, { ours }] of Object.entries(SDK)) {
    const known = EXPORTS[name];
    assert.ok(typeof known === "function", name);
    for (const own of ours) {
      const found = EXPORTS[own];
      assert.ok(typeof found === "function", own);
      assert.ok(found === known || found.prototype instanceof known, `${own} is no ${name}`);
    }
  }
});

test("a class of the known SDK's name has its code, too", () => {
  for (const [name, { code, ours }] of Object.entries(SDK)) {
    // Of images, each kind of fault has a code.
    if (ours[0] === name && name !== "ImageError") assert.match(CODES, new RegExp(`\\| "${code}"`), name);
  }
});

test("ImageError is what all errors of images are but those of a missing one and of one in use", () => {
  const { ImageError } = api;
  assert.ok(new api.ImageDigestMismatchError("blob", "a", "b") instanceof ImageError);
  assert.ok(new api.ImageAuthError("r", "no") instanceof ImageError);
  assert.ok(new api.TarInvalidError(undefined, "cut short") instanceof ImageError);
  assert.ok(!(new api.ImageInUseError("x") instanceof ImageError));
  assert.ok(!(new api.ImageNotFoundError("x", "here") instanceof ImageError));
});
