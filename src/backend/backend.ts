/**
 * The seam between what users hold and the place where sandboxes run.
 *
 * `Sandbox`, handles, lists, the manager and the pool reach sandboxes through these interfaces and nothing else, so that
 * sandboxes of another machine or of a cluster need no other faces. Everything that crosses is plain data or a byte
 * stream: verbs fit an HTTP call each, and the frames of {@linkcode BackendSandbox.connect} fit one connection.
 *
 * @module
 */
import type { AgentClient, ConnectOptions } from "../agent/client.ts";
import type { HttpHooks } from "../egress/http/hooks.ts";
import type { EgressReport, EgressUpdate } from "../egress/update.ts";
import type { RegistryOptions } from "../image/oci/registry_client.ts";
import type { PullProgressListener } from "../image/progress.ts";
import type { ImageBuildLimits } from "../image/store/image_builder.ts";
import type { LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../logs/mod.ts";
import type { FileSystemProvider } from "../mount/provider.ts";
import type { NetworkConfig, NetworkPlan } from "../network/network_plan.ts";
import type { Patch } from "../options/patch_options.ts";
import type { SandboxConfig, SandboxOptions } from "../options/sandbox_options.ts";
import type { SecretValues } from "../options/secret_options.ts";
import type { VolumeConfig, VolumeKind, VolumeRequest } from "../options/volume_options.ts";
import type { SnapshotDescriptor } from "../snapshot/descriptor.ts";
import type { DiskProgressListener } from "../snapshot/disk_content.ts";
import { SandboxNotFoundError } from "../state/errors.ts";
import type { EventRecord, NewEvent } from "../state/event_log.ts";
import type { JobRecord } from "../state/job_record.ts";
import type { ListPosition, SandboxRecord as StoredRecord } from "../state/state_store.ts";
import type { SandboxStatus } from "../state/status.ts";
import type { BootStep } from "../vmm/host_protocol.ts";

export {
  isGone,
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  SandboxNotRunningError,
  SandboxReplacedError,
  SandboxStillRunningError,
} from "../state/errors.ts";
export type { EventRecord, NewEvent } from "../state/event_log.ts";
export type { JobRecord, JobStatus } from "../state/job_record.ts";
export type { ListPosition } from "../state/state_store.ts";
export {
  isLive,
  isOpenJob,
  isSandboxStatus,
  LIVE_STATUSES,
  type SandboxAction,
  type SandboxNote,
  type SandboxStatus,
  TRANSITIONS,
} from "../state/status.ts";

/** Grace of a stop without one of its own, in milliseconds. */
export const STOP_GRACE_MS = 10_000;

/** What is known of a sandbox at one moment. */
export type SandboxRecord = Omit<StoredRecord, "runDirectory" | "host">;

/** A sandbox that was found, with its record of that moment. */
export interface FoundSandbox {
  readonly sandbox: BackendSandbox;
  readonly record: SandboxRecord;
}

/** A step of a creation, in order of time. */
export type CreateStep = "image" | BootStep;

/** How one call to create or start a sandbox behaves. */
export interface BootCallOptions extends ImageBuildLimits {
  /** Undoes what was begun when it fires. */
  readonly signal?: AbortSignal | undefined;
  /** Called for each step that is reached. Milliseconds count from the call. */
  readonly onStep?: ((step: CreateStep, atMs: number) => void) | undefined;
  /** Called as the pull or the conversion of the image proceeds. */
  readonly onPullProgress?: PullProgressListener | undefined;
  /** How to reach the image's registry. Not stored with the sandbox, because it may hold secrets. */
  readonly registry?: RegistryOptions | undefined;
  /** Platform of the image, e.g. `"linux/amd64"`. @default Linux on this machine's processor */
  readonly platform?: string | undefined;
}

/** How one call to start an existing sandbox behaves. */
export interface StartCallOptions extends BootCallOptions {
  /**
   * Values of its secrets, by name. They override the environment. A secret that was given by value needs its value again, because
   * values are not stored.
   */
  readonly secrets?: SecretValues | undefined;
  /** Functions that see its requests. Required if the sandbox was created with some, because they are not stored. */
  readonly hooks?: HttpHooks | undefined;
}

/** How an existing sandbox is booted. */
export interface StartOptions extends StartCallOptions {
  /** Whether the sandbox outlives this process. @default {false} */
  readonly detached?: boolean | undefined;
}

/** What fixes a creation beyond its options. */
export interface CreationKey {
  /** Id of the sandbox. @default a random one */
  readonly id?: string | undefined;
  /** Id of the snapshot that `fromSnapshot` names, in case another one takes the name. */
  readonly snapshotId?: string | undefined;
  /**
   * Applies the patches of the options. Called if there are some, with a connection to a guest that no other client can reach
   * yet; a failure ends the creation. The connection is closed when this is done.
   */
  readonly applyPatches?:
    | ((client: AgentClient, patches: readonly Patch[], signal: AbortSignal | undefined) => Promise<void>)
    | undefined;
}

/** A sandbox that was just booted, and its ties to this process. */
export interface Boot {
  readonly sandbox: BackendSandbox;
  readonly config: SandboxConfig;
  /** Whether it was asked to outlive this process. */
  readonly detached: boolean;
  /** Whether this is still the sandbox's latest boot. */
  isLatest(): boolean;
  /** Lets the sandbox outlive this process. */
  detach(): void;
}

/** Which sandboxes to list, in order of creation. */
export interface ListQuery {
  /** Most rows to look at. @default all */
  readonly limit?: number | undefined;
  /** Where the page before ended. */
  readonly after?: ListPosition | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly statuses?: readonly SandboxStatus[] | undefined;
}

/** Sandboxes of a page, and where the next one begins if there may be more. */
export interface ListPage {
  readonly found: readonly FoundSandbox[];
  readonly next: ListPosition | undefined;
}

/** Which events to read. */
export interface EventQuery {
  readonly sandboxId?: string | undefined;
  readonly name?: string | undefined;
  /** Start behind the event of that sequence number, or at that time. @default the oldest; with `follow`, the next one */
  readonly since?: number | Date | undefined;
  readonly follow: boolean;
}

/** Events from one position on. */
export interface EventFeed {
  /**
   * The next events in order, once there are some; `undefined` at the end, or when `signal` fires. Events that were
   * dropped before this reader came to them appear as one with the action `missed` and their `count`.
   */
  next(signal: AbortSignal): Promise<readonly EventRecord[] | undefined>;
  close(): void;
}

/** Tells of changes, so that a wait need not poll. */
export interface ChangeWatch extends Disposable {
  /** Grows with each change that was noticed. */
  readonly version: number;
  /** Resolves when `version` is no longer `seen`, after `timeoutMs`, or when `signal` fires. */
  changed(seen: number, timeoutMs: number, signal: AbortSignal): Promise<void>;
}

/** The logs of one sandbox. */
export interface SandboxLogs {
  readLogs(options: LogReadOptions): Promise<LogSnapshot>;
  /** Opens a stream, which ends with the sandbox. */
  openLogStream(options: LogStreamOptions): Promise<LogStream>;
}

/**
 * One sandbox, by its identity. When it is gone, calls reject with `SandboxNotFoundError`, or with `SandboxReplacedError`
 * if another sandbox has its name.
 */
export interface BackendSandbox extends SandboxLogs {
  readonly backend: Backend;
  readonly id: string;
  readonly name: string;
  /** Reads the record, checked against the VM: it never says `running` of a VM that is gone. */
  record(): Promise<SandboxRecord>;
  /** {@linkcode record}, or `undefined` if the sandbox is gone. */
  find(): Promise<SandboxRecord | undefined>;
  /** Returns the connection that all callers of this process share. @throws {SandboxNotRunningError} */
  connect(options?: ConnectOptions): Promise<AgentClient>;
  /**
   * Changes the rules of its network while it runs, or asks for them by an empty update. @throws {MicrosandboxError} of code `network`
   */
  updateNetwork(update: EgressUpdate): Promise<EgressReport>;
  /** Boots the sandbox. @throws {SandboxStillRunningError} */
  start(options: StartOptions): Promise<Boot>;
  /** Stops the sandbox gracefully; kills it after the grace and the time that flushing takes. 0 kills at once. */
  stop(graceMs: number): Promise<void>;
  /** {@linkcode stop} that does not wait for the end. */
  requestStop(graceMs: number): Promise<void>;
  /** Kills the VM. @throws {TimeoutError} */
  kill(timeoutMs?: number): Promise<void>;
  /** Pings the guest's agent; kills a VM that does not answer. Returns whether it answered. */
  checkHealth(timeoutMs: number): Promise<boolean>;
  /** Deletes the sandbox with its disk and logs. @throws {SandboxStillRunningError} */
  remove(): Promise<void>;
  /** {@linkcode remove}, if it is still there. */
  removeIfThere(): Promise<void>;
  /** Takes a snapshot of its disk; if it runs, holds its writes until the copy is done. */
  takeSnapshot(options: TakeSnapshotOptions): Promise<SnapshotRecord>;
  /** The jobs that were started in it, oldest first: those of earlier boots, too. */
  listJobs(): Promise<readonly JobRecord[]>;
  /** The job of that id; else the one that has that name and runs, or had it last. */
  findJob(idOrName: string): Promise<JobRecord | undefined>;
  /** The latest event of an end: `stopped`, `crashed` or `failed`. */
  lastEnd(): Promise<EventRecord | undefined>;
  watchChanges(): ChangeWatch;
}

/** What a snapshot is to be. */
export interface TakeSnapshotOptions {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Whether it replaces a snapshot of the same name. @default {false} */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called as the disk is copied. */
  readonly onProgress?: DiskProgressListener | undefined;
}

/** How to read or write a snapshot's disk. */
export interface SnapshotFileOptions {
  /** Writes a plain tar. @default {false} */
  readonly plainTar?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: DiskProgressListener | undefined;
}

/** What is known of a snapshot. */
export interface SnapshotRecord {
  readonly descriptor: SnapshotDescriptor;
  readonly digest: string;
  /** Its directory, where it is kept. */
  readonly directory: string;
}

/** Snapshots of disks. A `digest` names one snapshot for good, even if another one has its name later. */
export interface SnapshotBackend {
  get(name: string): Promise<SnapshotRecord>;
  list(): Promise<readonly SnapshotRecord[]>;
  remove(name: string, digest?: string): Promise<void>;
  /** Reads the whole disk. @throws {SnapshotIntegrityError} */
  verify(name: string, digest: string, options: Pick<SnapshotFileOptions, "signal">): Promise<void>;
  /** Writes the snapshot to an archive at `path`. */
  save(name: string, digest: string, path: string, options: SnapshotFileOptions): Promise<void>;
  /** Takes a snapshot out of the archive at `path`. */
  load(path: string, options: Pick<SnapshotFileOptions, "signal">): Promise<SnapshotRecord>;
}

/** What is known of a volume. */
export interface VolumeRecord {
  readonly id: string;
  readonly name: string;
  readonly kind: VolumeKind;
  /** Size of the disk; `undefined` for a directory. */
  readonly sizeBytes: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: Date;
  /** The directory with its files, or the disk, where it is kept. */
  readonly path: string;
}

/** The files of a volume, which is not removed until they are closed. */
export interface VolumeFiles {
  readonly files: FileSystemProvider;
  close(): Promise<void>;
}

/** A volume, and whether it was made just now. */
export interface ObtainedVolume {
  readonly volume: VolumeRecord;
  readonly isNew: boolean;
}

/** Named volumes. An `id` names one volume for good, even if another one has its name later. */
export interface VolumeBackend {
  /** @throws {VolumeAlreadyExistsError} */
  create(config: VolumeConfig): Promise<VolumeRecord>;
  /** Finds the requested volume, or makes it for a future mount. It stays once a sandbox uses it. */
  obtain(request: VolumeRequest): Promise<ObtainedVolume>;
  /** Removes a volume that {@linkcode obtain} made, unless a sandbox uses it. */
  discard(volume: VolumeRecord): Promise<void>;
  get(name: string): Promise<VolumeRecord>;
  list(): Promise<readonly VolumeRecord[]>;
  /** @throws {VolumeInUseError} while a sandbox that runs has it. */
  remove(name: string, id?: string): Promise<void>;
  /** Bytes that it takes now; `undefined` if it is gone. */
  usedBytes(volume: VolumeRecord): Promise<number | undefined>;
  /** Opens the files of a directory volume. @throws {VolumeNotFoundError} if it is gone. */
  openFiles(volume: VolumeRecord): Promise<VolumeFiles>;
}

/** A place where sandboxes run. */
export interface Backend {
  readonly snapshots: SnapshotBackend;
  readonly volumes: VolumeBackend;
  /** Creates and boots a sandbox; resolves when its agent answers. A failure leaves nothing behind. */
  create(options: SandboxOptions, call: BootCallOptions, key?: CreationKey): Promise<Boot>;
  find(name: string): Promise<FoundSandbox | undefined>;
  findById(id: string): Promise<FoundSandbox | undefined>;
  /** Stands for a sandbox that is known by name and id, without a look whether it is there. */
  sandbox(key: { readonly id: string; readonly name: string }): BackendSandbox;
  list(query: ListQuery): Promise<ListPage>;
  /** Finds logs by the sandbox's name; they may outlive its record. @throws {SandboxNotFoundError} */
  findLogs(name: string): Promise<SandboxLogs>;
  /** @throws {InvalidConfigError} if `since` lies in the future. */
  openEvents(query: EventQuery): EventFeed;
  /** Reserves the network address of a sandbox that is about to be created; `""` for a network without one. */
  reserveAddress(network: NetworkConfig, id: string): Promise<string>;
  /** Releases what {@linkcode reserveAddress} reserved, if nothing has come of it. */
  releaseAddress(id: string): Promise<void>;
  /** The network device that a sandbox has now. */
  networkPlan(network: NetworkConfig, id: string): Promise<NetworkPlan | undefined>;
  /** Records an event of a sandbox that never came to be; not twice. */
  noteEvent(event: NewEvent): Promise<void>;
}

/** Like `find()`. @throws {SandboxNotFoundError} */
export async function getSandbox(backend: Backend, name: string): Promise<FoundSandbox> {
  const found = await backend.find(name);
  if (found === undefined) throw new SandboxNotFoundError(name);
  return found;
}
