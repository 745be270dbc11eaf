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
  ExecTimeoutError: { code: "execTimeout", ours: ["ExecTimeoutError"] },
  ImageNotFoundError: { code: "imageNotFound", ours: ["ImageNotFoundError"] },
  ImageInUseError: { code: "imageInUse", ours: ["ImageInUseError"] },
  UnsupportedError: { code: "unsupported", ours: ["UnsupportedError"] },
  // Here one class with a code of its own stands for each thing that can be wrong.
  ImageError: { code: "image", ours: ["ImageError"] },
  RuntimeError: { code: "runtime", ours: ["BootStartError", "EngineUnavailableError", "LibkrunCallError"] },
  HttpError: { code: "http", ours: ["ImageRegistryError"] },
  NixError: { code: "nix", ours: ["IoError"] },
  JsonError: { code: "json", ours: ["InvalidConfigError", "ImageManifestInvalidError"] },
  UnsupportedOperationError: { code: "unsupportedOperation", ours: ["UnsupportedError"] },
  CustomError: { code: "custom", ours: ["InternalError"] },
  // What they are about does not exist here.
  CloudHttpError: { code: "cloudHttp", ours: [] },
  TerminalError: { code: "terminal", ours: [] },
  SandboxFsOpsError: { code: "sandboxFsOps", ours: [] },
  VolumeNotFoundError: { code: "volumeNotFound", ours: [] },
  VolumeAlreadyExistsError: { code: "volumeAlreadyExists", ours: [] },
  PatchFailedError: { code: "patchFailed", ours: [] },
  MetricsDisabledError: { code: "metricsDisabled", ours: [] },
  MetricsUnavailableError: { code: "metricsUnavailable", ours: [] },
};

const EXPORTS: Readonly<Record<string, unknown>> = api;
const CODES = readModule("src/base/errors.ts");

test("each class of the known SDK has its counterpart in mod.ts", () => {
  const missing = Object.values(SDK)
    .flatMap(({ ours }) => ours)
    .filter((name) => typeof EXPORTS[name] !== "function");
  assert.deepEqual(missing, []);
});

test("a class of the known SDK's name has its code, too", () => {
  for (const [name, { code, ours }] of Object.entries(SDK)) {
    // Of images, each kind of fault has a code.
    if (ours[0] === name && name !== "ImageError") assert.match(CODES, new RegExp(`\\| "${code}"`), name);
  }
});

test("nothing of the known SDK's name stands for something else", () => {
  const claimed = Object.entries(SDK).filter(([, { ours }]) => ours.length === 0);
  assert.deepEqual(
    claimed.filter(([name]) => name in EXPORTS).map(([name]) => name),
    [],
  );
});

test("ImageError is what all errors of images are but those of a missing one and of one in use", () => {
  const { ImageError } = api;
  assert.ok(new api.ImageDigestMismatchError("blob", "a", "b") instanceof ImageError);
  assert.ok(new api.ImageAuthError("r", "no") instanceof ImageError);
  assert.ok(new api.TarInvalidError(undefined, "cut short") instanceof ImageError);
  assert.ok(!(new api.ImageInUseError("x") instanceof ImageError));
  assert.ok(!(new api.ImageNotFoundError("x", "here") instanceof ImageError));
});
