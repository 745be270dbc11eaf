/** The names that programs import: a change here is a change of the public API, to be made on purpose. @module */
import assert from "node:assert/strict";
import * as api from "../../mod.ts";
import { test } from "../support/harness.ts";
import { readModule, withoutComments } from "./source_files.ts";

/** What `mod.ts` exports that exists at run time. */
const VALUES: readonly string[] = [
  "AbortedError",
  "AgentDisconnectedError",
  "AgentHandshakeError",
  "BootStartError",
  "CloudHttpError",
  "ConnectFailedError",
  "CustomError",
  "DatabaseError",
  "EngineUnavailableError",
  "ExecFailedError",
  "ExecHandle",
  "ExecOptionsBuilder",
  "ExecOutput",
  "ExecOutputLimitError",
  "ExecSink",
  "ExecTimeoutError",
  "Ext4InvalidError",
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
  "JsonError",
  "KernelInvalidError",
  "LibkrunCallError",
  "LibkrunNotFoundError",
  "LibkrunfwNotFoundError",
  "LogStream",
  "LogsUnavailableError",
  "MetricsDisabledError",
  "MetricsUnavailableError",
  "MicrosandboxError",
  "MissedRotationError",
  "NetworkError",
  "NetworkExhaustedError",
  "NetworkPrivilegeError",
  "NixError",
  "NoDefaultCommandError",
  "PatchFailedError",
  "PortInUseError",
  "ProtocolError",
  "PullProgressCreate",
  "RuntimeError",
  "Sandbox",
  "SandboxAlreadyExistsError",
  "SandboxBuilder",
  "SandboxBusyError",
  "SandboxFsOpsError",
  "SandboxHandle",
  "SandboxListBuilder",
  "SandboxListing",
  "SandboxManager",
  "SandboxNetwork",
  "SandboxNotFoundError",
  "SandboxNotRunningError",
  "SandboxPool",
  "SandboxPorts",
  "SandboxReplacedError",
  "SandboxStillRunningError",
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
  "VolumeAlreadyExistsError",
  "VolumeNotFoundError",
  "doctor",
  "logResponse",
  "logStream",
  "readLogs",
  "readLogsSnapshot",
  "toNdjson",
  "toServerSentEvents",
];

/** What `mod.ts` exports for the compiler only. */
const TYPES: readonly string[] = [
  "BootCallOptions",
  "CheckpointInfo",
  "CheckpointOptions",
  "ClaimOptions",
  "ConfigIssue",
  "ConnectOrStartOptions",
  "ConnectPortOptions",
  "CreateStep",
  "DestroyOptions",
  "DoctorProblem",
  "DoctorReport",
  "EndOptions",
  "EngineFiles",
  "EngineOptions",
  "ErrorCode",
  "ExecEvent",
  "ExecFailureKind",
  "ExecOptions",
  "ExitStatus",
  "ImageArchiveFormat",
  "ImageBuildLimits",
  "ImageConfigDetail",
  "ImageDefaults",
  "ImageDetail",
  "ImageHandle",
  "ImageLayerDetail",
  "ImageLoadOptions",
  "ImageOptions",
  "ImagePruneReport",
  "ImagePullOptions",
  "ImageRemoveOptions",
  "ImageSaveOptions",
  "LogCursor",
  "LogEntry",
  "LogReadOptions",
  "LogResponseFormat",
  "LogSnapshot",
  "LogSource",
  "LogStreamOptions",
  "ManagedExec",
  "ManagedNetwork",
  "ManagedRunOptions",
  "ManagedState",
  "OutputChunk",
  "NetworkConfig",
  "NetworkInfo",
  "NetworkMode",
  "NetworkOptions",
  "PortAddressOptions",
  "PortOptions",

  "PublishedPort",
  "PullProgress",
  "PullProgressEvents",
  "PullProgressListener",
  "RegistryAuth",
  "RegistryOptions",
  "RestartOptions",
  "RestoreSpec",
  "RlimitOptions",
  "SandboxConfig",
  "SandboxConnection",
  "SandboxEvent",
  "SandboxEventAction",
  "SandboxEventOptions",
  "SandboxFetchInit",
  "SandboxInfo",
  "SandboxListOptions",
  "SandboxManagerConfig",
  "SandboxOptions",
  "SandboxPage",
  "SandboxPingResult",
  "SandboxPoolOptions",
  "SandboxSpec",
  "SandboxStatus",
  "SandboxStopResult",
  "SandboxSummary",
  "SandboxTouchResult",
  "SnapshotCreateOptions",
  "SnapshotListOptions",
  "SnapshotSaveOptions",
  "SnapshotSource",
  "SnapshotVerifyReport",
  "StdinMode",
  "TapConfig",
  "TapNetworkOptions",
  "TimeLimitChanges",
  "WaitOptions",
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
