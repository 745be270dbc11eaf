/** Error codes are what programs switch on: the list, and which class carries which. @module */
import assert from "node:assert/strict";
import * as api from "../../mod.ts";
import { test } from "../support/harness.ts";
import { modulesBelow, readModule, withoutComments } from "./source_files.ts";

/** Every code with the class that carries it. A released code is never renamed or reused. */
const CLASSES: Readonly<Record<string, string>> = {
  protocol: "ProtocolError",
  agentDisconnected: "AgentDisconnectedError",
  agentHandshake: "AgentHandshakeError",
  jobNotFound: "JobNotFoundError",
  jobLost: "JobLostError",
  jobNameTaken: "JobNameTakenError",
  jobEnded: "JobEndedError",
  jobAttachedElsewhere: "JobAttachedElsewhereError",
  execFailed: "ExecFailedError",
  execTimeout: "ExecTimeoutError",
  execOutputLimit: "ExecOutputLimitError",
  execExit: "ExecExitError",
  interpreterNotFound: "InterpreterNotFoundError",
  codeTimeout: "CodeTimeoutError",
  codeSessionEnded: "CodeSessionEndedError",
  codeLimit: "CodeLimitError",
  connectFailed: "ConnectFailedError",
  network: "NetworkError",
  networkExhausted: "NetworkExhaustedError",
  networkPrivilege: "NetworkPrivilegeError",
  portInUse: "PortInUseError",
  invalidConfig: "InvalidConfigError",
  diskFull: "IoError",
  io: "IoError",
  aborted: "AbortedError",
  timeout: "TimeoutError",
  unsupported: "UnsupportedError",
  untrustedPath: "UntrustedPathError",
  internal: "InternalError",
  libkrunNotFound: "LibkrunNotFoundError",
  libkrunfwNotFound: "LibkrunfwNotFoundError",
  libkrunCall: "LibkrunCallError",
  kernelInvalid: "KernelInvalidError",
  tarInvalid: "TarInvalidError",
  treeInvalid: "TreeInvalidError",
  diskInvalid: "Ext4InvalidError",
  diskInUse: "DiskInUseError",
  imageReferenceInvalid: "ImageReferenceInvalidError",
  imageRegistry: "ImageRegistryError",
  imageAuth: "ImageAuthError",
  imageDigestMismatch: "ImageDigestMismatchError",
  imageManifestInvalid: "ImageManifestInvalidError",
  imagePlatformMissing: "ImagePlatformMissingError",
  imageNotFound: "ImageNotFoundError",
  imageInUse: "ImageInUseError",
  missedRotation: "MissedRotationError",
  invalidCursor: "InvalidCursorError",
  logsUnavailable: "LogsUnavailableError",
  sandboxNotFound: "SandboxNotFoundError",
  sandboxAlreadyExists: "SandboxAlreadyExistsError",
  sandboxBusy: "SandboxBusyError",
  sandboxReplaced: "SandboxReplacedError",
  sandboxStillRunning: "SandboxStillRunningError",
  snapshotAlreadyExists: "SnapshotAlreadyExistsError",
  snapshotIntegrity: "SnapshotIntegrityError",
  snapshotNotFound: "SnapshotNotFoundError",
  sandboxNotRunning: "SandboxNotRunningError",
  database: "DatabaseError",
  noDefaultCommand: "NoDefaultCommandError",
  bootStart: "BootStartError",
  engineUnavailable: "EngineUnavailableError",
  cloudHttp: "CloudHttpError",
  terminal: "TerminalError",
  sandboxFsOps: "SandboxFsOpsError",
  fileNotFound: "FileNotFoundError",
  fileExists: "FileExistsError",
  permissionDenied: "PermissionDeniedError",
  notADirectory: "NotADirectoryError",
  isADirectory: "IsADirectoryError",
  directoryNotEmpty: "DirectoryNotEmptyError",
  noSpace: "NoSpaceError",
  fileLimit: "FileLimitError",
  fileCopy: "FileCopyError",
  fileCopyLimit: "FileCopyLimitError",
  fileCopyRefused: "FileCopyRefusedError",
  mountFailed: "MountFailedError",
  volumeNotFound: "VolumeNotFoundError",
  volumeAlreadyExists: "VolumeAlreadyExistsError",
  volumeInUse: "VolumeInUseError",
  patchFailed: "PatchFailedError",
  metricsDisabled: "MetricsDisabledError",
  metricsUnavailable: "MetricsUnavailableError",
};

/** Codes of parts that are not there yet. A code leaves this list with the first class that carries it. */
const RESERVED: readonly string[] = [];

const UNION = /export type ErrorCode =(?<codes>[\s\S]*?);/;
const CLASS =
  /class (?<name>\w+) extends (?:MicrosandboxError|ImageError|RuntimeError|SandboxFsOpsError) \{\n[\s\S]*?\n\}/g;
/** The first argument of `super`, up to the message: a code, or a choice between two. */
const SUPER = /\bsuper\(\s*(?<argument>[^,]*?)\s*,/;

const classes = modulesBelow("src").flatMap((file) =>
  [...withoutComments(readModule(file)).matchAll(CLASS)].map((match) => ({
    file,
    name: match.groups?.["name"] ?? "",
    codes: quoted(SUPER.exec(match[0])?.groups?.["argument"] ?? "").filter((text) => text !== "ENOSPC"),
  })),
);

test("ErrorCode has these codes and no others", () => {
  const codes = quoted(
    UNION.exec(withoutComments(readModule("src/base/errors.ts")))?.groups?.["codes"] ?? "",
  );
  assert.deepEqual(codes.sort(), [...Object.keys(CLASSES), ...RESERVED].sort());
});

test("each class of error carries its own code", () => {
  const carried = Object.fromEntries(classes.flatMap(({ name, codes }) => codes.map((code) => [code, name])));
  assert.deepEqual(carried, CLASSES);
  const nameless = classes.filter(({ codes }) => codes.length === 0);
  assert.deepEqual(nameless, []);
});

test("no code is carried by two classes", () => {
  const codes = classes.flatMap((found) => found.codes);
  assert.deepEqual(
    codes.filter((code, index) => codes.indexOf(code) !== index),
    [],
  );
});

test("mod.ts exports every class of error that carries a code", () => {
  const names = new Set(Object.keys(api));
  assert.deepEqual(
    classes.filter(({ name }) => !names.has(name)).map(({ file, name }) => `${file}: ${name}`),
    [],
  );
});

test("MicrosandboxError.is() knows an error of another copy of this module, and nothing else", () => {
  const foreign = Object.assign(new Error("copy"), { [Symbol.for("microsandbox.MicrosandboxError")]: true });
  assert.equal(api.MicrosandboxError.is(foreign), true);
  assert.equal(api.MicrosandboxError.is(new api.InternalError("ours")), true);
  assert.equal(api.MicrosandboxError.is(new Error("other")), false);
  assert.equal(api.MicrosandboxError.is({ code: "io" }), false);
});

test("MicrosandboxError has the name of its class, its code, and its hint in the message", () => {
  const error = new api.UnsupportedError("cannot", { hint: "try this", cause: 1 });
  assert.deepEqual(
    [error.name, error.code, error.hint, error.cause, error.message],
    ["UnsupportedError", "unsupported", "try this", 1, "cannot\n  hint: try this"],
  );
});

test("IoError says diskFull where the disk is full, and io otherwise", () => {
  const failure = (code: string) => new api.IoError("write", "/x", Object.assign(new Error(code), { code }));
  assert.deepEqual([failure("ENOSPC").code, failure("ENOSPC").errno], ["diskFull", "ENOSPC"]);
  assert.deepEqual([failure("EACCES").code, failure("EACCES").errno], ["io", "EACCES"]);
  assert.equal(new api.IoError("write", undefined, "thrown text").errno, undefined);
});

function quoted(text: string): string[] {
  return [...text.matchAll(/"(?<word>\w+)"/g)].map(({ groups }) => groups?.["word"] ?? "");
}
