/**
 * A microVM per sandbox, for Bun and Deno.
 *
 * @example Boot a sandbox and run a program in it
 * ```ts
 * import { Sandbox } from "microsandbox";
 *
 * await using sandbox = await Sandbox.builder("hello").image("./rootfs").cpus(1).memory(512).replace().create();
 * const output = await sandbox.exec("uname", ["-a"]);
 * console.log(output.code, output.stdout());
 * ```
 *
 * @module
 */
export {
  AgentDisconnectedError,
  AgentHandshakeError,
  ConnectFailedError,
  ExecFailedError,
  type ExecFailureKind,
  ExecOutputLimitError,
  ExecTimeoutError,
  JobAttachedElsewhereError,
  JobEndedError,
  JobNameTakenError,
  MountFailedError,
  ProtocolError,
} from "./src/agent/errors.ts";
export type { SignalName } from "./src/agent/guest_signal.ts";
export type { BootCallOptions, CreateStep, StartCallOptions } from "./src/backend/backend.ts";
export type { Bytes } from "./src/base/bytes.ts";
export { ENGINE_NAMES, type EngineChoice, type EngineName } from "./src/base/engine_name.ts";
export {
  AbortedError,
  type ConfigIssue,
  type ErrorCode,
  InternalError,
  InternalError as CustomError,
  InvalidConfigError,
  IoError,
  IoError as NixError,
  MicrosandboxError,
  RuntimeError,
  TimeoutError,
  UnsupportedError,
  UnsupportedError as UnsupportedOperationError,
} from "./src/base/errors.ts";
export {
  CloudHttpError,
  MetricsDisabledError,
} from "./src/base/sdk_errors.ts";
export type {
  Action,
  DestinationGroup,
  Direction,
  DnsConfig,
  Protocol,
  RateLimiterConfig,
  TokenBucketConfig,
  ViolationAction,
} from "./src/egress/config.ts";
export type { HttpHooks } from "./src/egress/http/hooks.ts";
export type { NetworkProfile } from "./src/egress/policy/factories.ts";
export type { EgressReport } from "./src/egress/update.ts";
export {
  KernelInvalidError,
  LibkrunCallError,
  LibkrunfwNotFoundError,
  LibkrunNotFoundError,
} from "./src/ffi/errors.ts";
export { ImageError, TarInvalidError, TreeInvalidError } from "./src/image/errors.ts";
export { Ext4InvalidError } from "./src/image/ext4.ts";
export type { RegistryAuth } from "./src/image/oci/credentials.ts";
export {
  ImageAuthError,
  ImageDigestMismatchError,
  ImageInUseError,
  ImageManifestInvalidError,
  ImageManifestInvalidError as JsonError,
  ImageNotFoundError,
  ImagePlatformMissingError,
  ImageReferenceInvalidError,
  ImageRegistryError,
  ImageRegistryError as HttpError,
  type ReferencePart,
} from "./src/image/oci/errors.ts";
export type { ImageConfig } from "./src/image/oci/image_config.ts";
export type { RegistryOptions } from "./src/image/oci/registry_client.ts";
export type { PullProgress, PullProgressEvents, PullProgressListener } from "./src/image/progress.ts";
export {
  InvalidCursorError,
  type InvalidCursorReason,
  type LogCursor,
  type LogEntry,
  type LogReadOptions,
  type LogResponseFormat,
  type LogResponseOptions,
  type LogSnapshot,
  type LogSource,
  LogStream,
  type LogStreamOptions,
  LogsUnavailableError,
  logResponse,
  MissedRotationError,
  toNdjson,
  toServerSentEvents,
} from "./src/logs/mod.ts";
export { type ErrnoName, FileSystemError } from "./src/mount/errno.ts";
export type {
  AttributeChanges,
  FileSystemProvider,
  FileType,
  LockConflict,
  MaybePromise,
  ProviderAttributes,
  ProviderChange,
  ProviderEntry,
  ProviderFile,
  ProviderLock,
  ProviderOpenOptions,
  ProviderStatistics,
  RenameOptions,
} from "./src/mount/provider.ts";
export {
  type FileSystemHooks,
  type FileSystemOperation,
  type FileSystemOutcome,
  withHooks,
} from "./src/mount/providers/hooks.ts";
export { openHostDirectory } from "./src/mount/providers/host_directory.ts";
export { MemoryFileSystem, type MemoryFileSystemOptions } from "./src/mount/providers/memory_file_system.ts";
export { OverlayFileSystem, type OverlayOptions } from "./src/mount/providers/overlay_file_system.ts";
export { ReadonlyFileSystem } from "./src/mount/providers/readonly_file_system.ts";
export {
  NetworkError,
  NetworkExhaustedError,
  NetworkPrivilegeError,
  PortInUseError,
} from "./src/network/errors.ts";
export type { NetworkMode } from "./src/network/network_plan.ts";
export type { PortKind, PublishedPort } from "./src/network/published_port.ts";
export type { TapConfig } from "./src/network/tap_config.ts";
export {
  DISK_FILE_SYSTEMS as DiskFileSystems,
  DISK_IMAGE_FORMATS as DiskImageFormats,
  type DiskFileSystem,
  type DiskImageFormat,
  type DiskMountOptions,
} from "./src/options/disk_mount.ts";
export type {
  DnsOptions,
  EgressOptions,
  NetworkRateLimiterOptions,
  RateLimiterOptions,
  StoredEgress as EgressConfig,
  StoredTls as TlsConfig,
  TlsOptions,
  TokenBucketOptions,
} from "./src/options/egress_options.ts";
export type { ImageDefaults } from "./src/options/image_defaults.ts";
export type {
  BindMountOptions,
  MemoryMountOptions,
  MountConfig,
  MountLocks,
  MountOptions,
  VolumeMountOptions,
} from "./src/options/mount_options.ts";
export type {
  NetworkOptions,
  NoNetworkOptions,
  PortOptions,
  StoredNetwork as NetworkConfig,
  StoredUserNetwork as UserNetworkConfig,
  TapNetworkOptions,
  UserNetworkOptions,
} from "./src/options/network_options.ts";
export type { NetworkUpdateOptions } from "./src/options/network_update.ts";
export {
  type PatchFileOptions,
  type PatchKind,
  PatchKinds,
  type PatchModeOptions,
  type PatchReplaceOptions,
} from "./src/options/patch_options.ts";
export type { PolicyOptions } from "./src/options/policy_options.ts";
export type { RlimitOptions } from "./src/options/rlimits.ts";
export {
  type ImageRootDiskOptions,
  type MemoryRootDiskOptions,
  ROOT_FILE_SYSTEMS as RootFileSystems,
  type RootDiskConfig,
  type RootDiskOptions,
  type RootFileSystem,
} from "./src/options/root_disk.ts";
export {
  intoRootfsSource,
  ROOTFS_SOURCE_KINDS as RootfsSourceKinds,
  type RootfsSource,
  type RootfsSourceKind,
} from "./src/options/rootfs_source.ts";
export type {
  SandboxConfig,
  SandboxOptions,
} from "./src/options/sandbox_options.ts";
export {
  type SecretInjectionOptions,
  type SecretOptions,
  SecretSource,
  type StoredSecret as SecretConfig,
} from "./src/options/secret_options.ts";
export type {
  VolumeCreateOptions,
  VolumeKind,
  VolumeMode,
  VolumeSpec,
} from "./src/options/volume_options.ts";
export { TerminalError } from "./src/platform/raw_mode.ts";
export type { TerminalSize } from "./src/platform/terminal.ts";
export { UntrustedPathError } from "./src/platform/trust.ts";
export { DETACHED } from "./src/sandbox/attach/attach.ts";
export type { AttachOptions, AttachProgram, AttachViewOptions } from "./src/sandbox/attach/attach_options.ts";
export { AttachOptionsBuilder } from "./src/sandbox/attach/attach_options_builder.ts";
export type { TerminalStreams } from "./src/sandbox/attach/program_terminal.ts";
export { SandboxBuilder } from "./src/sandbox/builder.ts";
export type {
  CodeCallOptions,
  CodeSessionOptions,
  OpenCodeSessionOptions,
  RunCodeOptions,
} from "./src/sandbox/code/code_options.ts";
export type { CodeResult } from "./src/sandbox/code/code_result.ts";
export { CodeSession } from "./src/sandbox/code/code_session.ts";
export {
  CodeLimitError,
  CodeSessionEndedError,
  CodeTimeoutError,
  InterpreterNotFoundError,
} from "./src/sandbox/code/errors.ts";
export type { CodeLanguage } from "./src/sandbox/code/language.ts";
export type { CodeError, CodeValue, JsonValue } from "./src/sandbox/code/report.ts";
export {
  ExecExitError,
  JobLostError,
  JobNotFoundError,
  MetricsUnavailableError,
  NoDefaultCommandError,
} from "./src/sandbox/errors.ts";
export type { SandboxEvent, SandboxEventAction, SandboxEventOptions } from "./src/sandbox/events.ts";
export { ExecHandle } from "./src/sandbox/exec/exec_handle.ts";
export { ExecSink } from "./src/sandbox/exec/exec_input.ts";
export {
  type ExecArgument,
  type ExecOptions,
  type ExecProgram,
  type ExecStreamOptions,
  type ExecStreamProgram,
  type StartFailure,
  Stdin,
  type StdinMode,
} from "./src/sandbox/exec/exec_options.ts";
export { ExecOptionsBuilder } from "./src/sandbox/exec/exec_options_builder.ts";
export { type ExecEvent, ExecOutput, type ExitStatus } from "./src/sandbox/exec/exec_output.ts";
export { ShellCommand, type ShellTag } from "./src/sandbox/exec/shell_command.ts";
export type { ShellValue, ShellWord } from "./src/sandbox/exec/shell_template.ts";
export {
  type CopyLimitName,
  FileCopyError,
  FileCopyLimitError,
  FileCopyRefusedError,
} from "./src/sandbox/files/copy_errors.ts";
export type {
  CopyFromHostOptions,
  CopyToHostOptions,
  FileCopyOptions,
} from "./src/sandbox/files/copy_options.ts";
export type {
  FileCopyProgress,
  FileCopyResult,
  SkippedFile,
  SkipReason,
} from "./src/sandbox/files/copy_result.ts";
export {
  DirectoryNotEmptyError,
  FileExistsError,
  FileLimitError,
  FileNotFoundError,
  IsADirectoryError,
  NoSpaceError,
  NotADirectoryError,
  PermissionDeniedError,
  SandboxFsOpsError,
} from "./src/sandbox/files/errors.ts";
export { SandboxFsOps } from "./src/sandbox/files/fs_ops.ts";
export type { FsWalkEntry } from "./src/sandbox/files/list.ts";
export type { FsEntry, FsEntryKind, FsFileType, FsMetadata } from "./src/sandbox/files/metadata.ts";
export type {
  FsAccessOptions,
  FsCopyOptions,
  FsFollowOptions,
  FsLinkOptions,
  FsListOptions,
  FsMakeTempOptions,
  FsMkdirOptions,
  FsOptions,
  FsOwner,
  FsRange,
  FsReadOptions,
  FsReadStreamOptions,
  FsRemoveDirOptions,
  FsRemoveOptions,
  FsRenameOptions,
  FsTime,
  FsTimes,
  FsWalkOptions,
  FsWatchOptions,
  FsWriteOptions,
} from "./src/sandbox/files/options.ts";
export type { FsPath } from "./src/sandbox/files/path.ts";
export { FsReadStream } from "./src/sandbox/files/read_stream.ts";
export { type FsChange, type FsChangeKind, FsWatch } from "./src/sandbox/files/watch.ts";
export type { FsContent } from "./src/sandbox/files/write.ts";
export { FsWriteSink } from "./src/sandbox/files/write_stream.ts";
export { SandboxHandle } from "./src/sandbox/handle.ts";
export {
  Image,
  type ImageArchiveFormat,
  type ImageBuildLimits,
  type ImageConfigDetail,
  type ImageDetail,
  type ImageHandle,
  type ImageLayerDetail,
  type ImageLoadOptions,
  type ImageOptions,
  type ImagePruneOptions,
  type ImagePruneReport,
  type ImagePullOptions,
  type ImageRemoveOptions,
  type ImageSaveOptions,
  type PullPolicy,
} from "./src/sandbox/image.ts";
export { ImageBuilder } from "./src/sandbox/image_builder.ts";
export { Job, type JobOutputOptions } from "./src/sandbox/jobs/job.ts";
export type { JobOptions, JobProgram } from "./src/sandbox/jobs/job_options.ts";
export type {
  ConnectOrStartOptions,
  DestroyOptions,
  EndOptions,
  RestartOptions,
  SandboxStopResult,
  TimeLimitChanges,
  WaitableStatus,
  WaitOptions,
} from "./src/sandbox/lifecycle.ts";
export {
  SandboxListBuilder,
  SandboxListing,
  type SandboxListOptions,
  type SandboxPage,
} from "./src/sandbox/list.ts";
export { logStream, readLogs, readLogsSnapshot } from "./src/sandbox/logs.ts";
export { SandboxManager } from "./src/sandbox/manager/manager.ts";
export type {
  CheckpointInfo,
  CheckpointOptions,
  ManagedExec,
  ManagedNetwork,
  ManagedRunOptions,
  ManagedState,
  OutputChunk,
  RestoreSpec,
  SandboxInfo,
  SandboxManagerConfig,
  SandboxSpec,
  SandboxSummary,
} from "./src/sandbox/manager/types.ts";
export { allSandboxMetrics, type SandboxMetrics } from "./src/sandbox/metrics/metrics.ts";
export { MetricsStream, type MetricsStreamOptions } from "./src/sandbox/metrics/metrics_stream.ts";
export type { SandboxProcess, SandboxProcessList } from "./src/sandbox/metrics/processes.ts";
export type { SandboxCreateOptions } from "./src/sandbox/mounts/create_mounts.ts";
export {
  type HostPermissions,
  HostPermissionsList,
  MountBuilder,
  type NamedVolumeOptions,
  type StatVirtualization,
  StatVirtualizations,
  type VolumeMountKind,
  VolumeMountKinds,
} from "./src/sandbox/mounts/mount_builder.ts";
export { type ProviderMountOptions, SandboxMounts } from "./src/sandbox/mounts/sandbox_mounts.ts";
export type { ConnectPortOptions, SandboxConnection } from "./src/sandbox/network/connection.ts";
export type { SandboxFetchInit } from "./src/sandbox/network/fetch.ts";
export type {
  LostNetworkFlows,
  NetworkFlow,
  NetworkFlowOptions,
  NetworkFlowRecord,
} from "./src/sandbox/network/flows.ts";
export { NetworkBuilder } from "./src/sandbox/network/network_builder.ts";
export {
  DnsBuilder,
  InterfaceOverridesBuilder,
  NetworkRateLimiterBuilder,
  OutboundProxyBuilder,
  RateLimiterBuilder,
  TlsBuilder,
  ViolationActionBuilder,
} from "./src/sandbox/network/part_builders.ts";
export {
  Destination,
  DestinationGroups,
  NetworkPolicy,
  PortRange,
  Rule,
  ViolationActions,
} from "./src/sandbox/network/policy.ts";
export { NetworkPolicyBuilder } from "./src/sandbox/network/policy_builder.ts";
export {
  type NetworkInfo,
  type PortAddressOptions,
  SandboxNetwork,
  SandboxPorts,
} from "./src/sandbox/network/published_ports.ts";
export { RuleBuilder, RuleDestinationBuilder } from "./src/sandbox/network/rule_builder.ts";
export { SecretBuilder } from "./src/sandbox/network/secret_builder.ts";
export { PatchFailedError } from "./src/sandbox/patches/errors.ts";
export { Patch } from "./src/sandbox/patches/patch.ts";
export { PatchBuilder } from "./src/sandbox/patches/patch_builder.ts";
export { SandboxPool, type SandboxPoolOptions } from "./src/sandbox/pool/sandbox_pool.ts";
export type { ClaimOptions } from "./src/sandbox/pool/warm_pool.ts";
export { PullProgressCreate } from "./src/sandbox/pull_progress_create.ts";
export { RootDiskBuilder } from "./src/sandbox/root_disk_builder.ts";
export { Sandbox, type SandboxPingResult, type SandboxTouchResult } from "./src/sandbox/sandbox.ts";
export { GiB, KiB, type Mebibytes, MiB, TiB } from "./src/sandbox/size.ts";
export {
  Snapshot,
  SnapshotBuilder,
  type SnapshotCreateOptions,
  type SnapshotListOptions,
  type SnapshotSaveOptions,
  type SnapshotSource,
  type SnapshotVerifyReport,
} from "./src/sandbox/snapshot.ts";
export {
  Volume,
  VolumeBuilder,
  type VolumeListOptions,
} from "./src/sandbox/volumes/volume.ts";
export { VolumeFsReadStream, VolumeFsWriteSink } from "./src/sandbox/volumes/volume_content.ts";
export { VolumeFs, type WithoutUser } from "./src/sandbox/volumes/volume_fs.ts";
export { VolumeHandle } from "./src/sandbox/volumes/volume_handle.ts";
export type { DiskProgressListener } from "./src/snapshot/disk_content.ts";
export {
  SnapshotAlreadyExistsError,
  SnapshotIntegrityError,
  SnapshotNotFoundError,
} from "./src/snapshot/errors.ts";
export {
  DatabaseError,
  SandboxAlreadyExistsError,
  SandboxBusyError,
  SandboxNotFoundError,
  SandboxNotRunningError,
  SandboxReplacedError,
  SandboxStillRunningError,
} from "./src/state/errors.ts";
export type { JobStatus } from "./src/state/job_record.ts";
export type { SandboxAction, SandboxNote, SandboxStatus } from "./src/state/status.ts";
export type { CommonFindings, KernelFiles } from "./src/vmm/engine/checks.ts";
export type { EngineFiles, EngineFindings, EngineProblem } from "./src/vmm/engine/engines.ts";
export type { KrunFiles, KrunFindings, KrunProblem } from "./src/vmm/engine/krun/checks.ts";
export type { QemuFiles, QemuFindings, QemuProblem } from "./src/vmm/engine/qemu/checks.ts";
export { BootStartError, DiskInUseError, EngineUnavailableError } from "./src/vmm/errors.ts";
export type { BootStep } from "./src/vmm/host_protocol.ts";
export {
  type DoctorCheck,
  type DoctorProblem,
  type DoctorReport,
  doctor,
  type EngineOptions,
} from "./src/vmm/launch/doctor.ts";
export { VolumeAlreadyExistsError, VolumeInUseError, VolumeNotFoundError } from "./src/volume/errors.ts";
