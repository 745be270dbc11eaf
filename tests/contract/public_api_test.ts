/** The names that programs import: a change here is a change of the public API, to be made on purpose. @module */
import assert from "node:assert/strict";
import * as api from "../../mod.ts";
import { test } from "../support/harness.ts";
import { TYPES } from "./public_types.ts";
import { readModule, withoutComments } from "./source_files.ts";

/** What `mod.ts` exports that exists at run time. */
const VALUES: readonly string[] = [
  "AbortedError",
  "AgentDisconnectedError",
  "AgentHandshakeError",
  "AttachOptionsBuilder",
  "BootStartError",
  "CloudHttpError",
  "ConnectFailedError",
  "CustomError",
  "DETACHED",
  "DatabaseError",
  "DirectoryNotEmptyError",
  "DiskFileSystems",
  "DiskImageFormats",
  "DiskInUseError",
  "ENGINE_NAMES",
  "EngineUnavailableError",
  "ExecExitError",
  "ExecFailedError",
  "ExecHandle",
  "ExecOptionsBuilder",
  "ExecOutput",
  "ExecOutputLimitError",
  "ExecSink",
  "ExecTimeoutError",
  "Ext4InvalidError",
  "FileCopyError",
  "FileCopyLimitError",
  "FileCopyRefusedError",
  "FileExistsError",
  "FileLimitError",
  "FileNotFoundError",
  "FileSystemError",
  "FsReadStream",
  "FsWatch",
  "FsWriteSink",
  "HttpError",
  "Image",
  "ImageAuthError",
  "ImageDigestMismatchError",
  "ImageError",
  "ImageInUseError",
  "ImageManifestInvalidError",
  "ImageNotFoundError",
  "ImagePlatformMissingError",
  "ImageReferenceInvalidError",
  "ImageRegistryError",
  "InternalError",
  "InvalidConfigError",
  "InvalidCursorError",
  "IoError",
  "IsADirectoryError",
  "Job",
  "JobAttachedElsewhereError",
  "JobEndedError",
  "JobLostError",
  "JobNameTakenError",
  "JobNotFoundError",
  "JsonError",
  "KernelInvalidError",
  "LibkrunCallError",
  "LibkrunNotFoundError",
  "LibkrunfwNotFoundError",
  "LogStream",
  "LogsUnavailableError",
  "MemoryFileSystem",
  "MetricsDisabledError",
  "MetricsStream",
  "MetricsUnavailableError",
  "MicrosandboxError",
  "MissedRotationError",
  "MountBuilder",
  "MountFailedError",
  "NetworkError",
  "NetworkExhaustedError",
  "NetworkPrivilegeError",
  "OverlayFileSystem",
  "NixError",
  "NoDefaultCommandError",
  "NoSpaceError",
  "NotADirectoryError",
  "Patch",
  "PatchBuilder",
  "PatchFailedError",
  "PatchKinds",
  "PermissionDeniedError",
  "PortInUseError",
  "ProtocolError",
  "PullProgressCreate",
  "ReadonlyFileSystem",
  "RuntimeError",
  "Sandbox",
  "SandboxAlreadyExistsError",
  "SandboxBuilder",
  "SandboxBusyError",
  "SandboxFsOps",
  "SandboxFsOpsError",
  "SandboxHandle",
  "SandboxListBuilder",
  "SandboxListing",
  "SandboxManager",
  "SandboxMounts",
  "SandboxNetwork",
  "SandboxNotFoundError",
  "SandboxNotRunningError",
  "SandboxPool",
  "SandboxPorts",
  "SandboxReplacedError",
  "SandboxStillRunningError",
  "ShellCommand",
  "Snapshot",
  "SnapshotAlreadyExistsError",
  "SnapshotBuilder",
  "SnapshotIntegrityError",
  "SnapshotNotFoundError",
  "Stdin",
  "TarInvalidError",
  "TerminalError",
  "TimeoutError",
  "TreeInvalidError",
  "UnsupportedError",
  "UnsupportedOperationError",
  "UntrustedPathError",
  "Volume",
  "VolumeAlreadyExistsError",
  "VolumeBuilder",
  "VolumeFs",
  "VolumeFsReadStream",
  "VolumeFsWriteSink",
  "VolumeHandle",
  "VolumeInUseError",
  "VolumeNotFoundError",
  "allSandboxMetrics",
  "doctor",
  "logResponse",
  "logStream",
  "openHostDirectory",
  "readLogs",
  "readLogsSnapshot",
  "toNdjson",
  "toServerSentEvents",
  "withHooks",
];

test("mod.ts exports these values and no others", () => {
  assert.deepEqual(Object.keys(api).sort(), [...VALUES].sort());
});

test("mod.ts exports these types and no others", () => {
  assert.deepEqual(
    exportedNames()
      .filter(({ isType }) => isType)
      .map(({ name }) => name)
      .sort(),
    [...TYPES].sort(),
  );
});

test("mod.ts exports no value as undefined", () => {
  const missing = Object.entries(api).filter(([, value]) => value === undefined);
  assert.deepEqual(missing, []);
});

interface ExportedName {
  readonly name: string;
  readonly isType: boolean;
}

function exportedNames(): ExportedName[] {
  const text = withoutComments(readModule("mod.ts"));
  return [...text.matchAll(/export (?<type>type )?\{(?<names>[^}]*)\}/g)].flatMap(({ groups }) =>
    (groups?.["names"] ?? "")
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "")
      .map((name) => ({
        name: name.replace(/^type /, "").replace(/^.* as /, ""),
        isType: groups?.["type"] !== undefined || name.startsWith("type "),
      })),
  );
}
