/**
 * What `SandboxManager` takes and gives.
 *
 * @module
 */

import type { SignalName } from "../../agent/guest_signal.ts";
import type { SandboxStatus } from "../../backend/backend.ts";
import type { Bytes } from "../../base/bytes.ts";
import type { NetworkMode } from "../../network/network_plan.ts";
import type { SandboxOptions } from "../../options/sandbox_options.ts";
import type { ExecOptions } from "../exec/exec_options.ts";
import type { SnapshotCreateOptions } from "../snapshot.ts";

/** A sandbox to create: the options of `Sandbox.create()`, with what only a manager knows. */
export interface SandboxSpec
  extends Omit<SandboxOptions, "name" | "image" | "detached" | "replace" | "ephemeral"> {
  /**
   * The name.
   *
   * @default {"sandbox-<id>"}
   */
  readonly name?: string | undefined;
  /**
   * The image: see `SandboxOptions.image`.
   *
   * @default the manager's
   */
  readonly image?: string | undefined;
  /**
   * Stops the sandbox gracefully this many milliseconds after its boot, and it is removed when it ends, for
   * this reason or another. Can be extended: see `SandboxManager.setTtl()`. @default none
   */
  readonly ttlMs?: number | undefined;
}

/** Settings of one `SandboxManager`. */
export interface SandboxManagerConfig {
  /** What a spec does not say. */
  readonly defaults?: Omit<SandboxSpec, "name"> | undefined;
  /** Whether sandboxes go on when this process ends; another manager finds them again. @default {true} */
  readonly detached?: boolean | undefined;
  /** Sandboxes that boot at the same time; others wait. 1 to 64. @default {4} */
  readonly bootsMax?: number | undefined;
}

/**
 * - `starting`: created, and not ready yet.
 * - `ready`: the guest's agent answers, and no program runs.
 * - `running`: a program runs in it. This and `ready` may be told a fifth of a second late, and for as long as somebody
 *   keeps the state database locked.
 * - `paused`, `stopping`, `stopped`, `crashed`.
 * - `failed`: it could not be created; only the manager that tried knows it, until it is removed.
 */
export type ManagedState =
  | "starting"
  | "ready"
  | "running"
  | "paused"
  | "stopping"
  | "stopped"
  | "crashed"
  | "failed";

/** One line of `SandboxManager.listSandboxes()`. */
export interface SandboxSummary {
  /** Its id, for all calls of the manager. */
  readonly id: string;
  /** Its name, unique among the sandboxes that exist. */
  readonly name: string;
  /** Its state. */
  readonly state: ManagedState;
  /** Its labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** Address of the guest's interface; `""` without one, and in network mode `tap` while it does not run. */
  readonly ipAddress: string;
  /** When its creation began. */
  readonly createdAt: Date;
}

/** What `SandboxManager.inspectSandbox()` tells. */
export interface SandboxInfo extends SandboxSummary {
  /** The image, as it was asked for. */
  readonly image: string;
  /** Virtual processors. */
  readonly cpus: number;
  /** Memory of the guest in MiB. */
  readonly memoryMiB: number;
  /** `undefined` without a network, and in mode `tap` while it does not run. */
  readonly network: ManagedNetwork | undefined;
  /** When the guest's agent answered last. */
  readonly readyAt: Date | undefined;
  /** When the sandbox became idle last. */
  readonly lastExitedAt: Date | undefined;
  /** What the program exited with that ended then. */
  readonly lastExitCode: number | undefined;
  /** Why it crashed or failed. */
  readonly error: string | undefined;
}

/** How `SandboxManager.checkpoint()` goes. */
export type CheckpointOptions = Omit<SnapshotCreateOptions, "name" | "from">;

/** The disk of a sandbox at one moment: a `Snapshot`, as a manager tells of it. */
export interface CheckpointInfo {
  /** What `restore()` and `deleteCheckpoint()` want. */
  readonly snapshotId: string;
  /** Its name among the snapshots of the home. */
  readonly name: string;
  /** The sandbox that it was taken of, which may be gone. */
  readonly sandboxId: string;
  /** Its directory. */
  readonly snapshotDir: string;
  /** Size of the disk in bytes; it takes as much space as it has data. */
  readonly sizeBytes: number;
  /** Its labels. */
  readonly labels: Readonly<Record<string, string>>;
  /** When it was taken. */
  readonly createdAt: Date;
}

/**
 * A sandbox to make from a checkpoint. Its image and its disk are the checkpoint's, and so are its processors and memory
 * unless it says otherwise. Environment, labels and the like are not kept in checkpoints.
 */
export interface RestoreSpec
  extends Omit<SandboxSpec, "image" | "fromSnapshot" | "diskMiB" | "rootDisk" | "rootDirectory"> {
  /** Id of the checkpoint whose disk is copied. */
  readonly snapshotId: string;
}

/** The network of a sandbox. */
export interface ManagedNetwork {
  /** `"user"` or `"tap"`. */
  readonly mode: Exclude<NetworkMode, "none">;
  /** Address of the guest's interface. */
  readonly ipAddress: string;
  /** The guest's gateway. */
  readonly gateway: string;
  /** MAC address of the guest's interface, as `02:…`; `undefined` in mode `user`, unless passt carries it. */
  readonly mac: string | undefined;
  /** The host's end, in mode `tap`. */
  readonly tapName: string | undefined;
}

/** A program to run, for `SandboxManager.runInSandbox()`. */
export interface ManagedRunOptions extends Omit<ExecOptions, "stdin" | "outputBytesMax"> {
  /** The program and its arguments. */
  readonly cmd: readonly string[];
}

/** A piece of what a program wrote, or, last, how it ended. */
export interface OutputChunk {
  /** Where the chunk comes from; `"exit"` is the last chunk. */
  readonly stream: "stdout" | "stderr" | "exit";
  /** Empty for `exit`. */
  readonly data: Bytes;
  /** For `exit`: the exit code; 128 + signal if a signal ended it. */
  readonly exitCode: number | undefined;
  /** For `exit`: the number of the signal that ended it. */
  readonly signal: number | undefined;
}

/** A program that runs and is spoken to, from `SandboxManager.execInSandbox()`. */
export interface ManagedExec {
  /** Process id in the guest. */
  readonly pid: number;
  /** The output, chunk by chunk; the last chunk is `exit`. Cancelling the stream kills the program. */
  readonly output: ReadableStream<OutputChunk>;
  /** Closing it ends the program's input. */
  readonly stdin: WritableStream<Uint8Array>;
  /** Sets the size of the pseudo-terminal. */
  resize(rows: number, columns: number): Promise<void>;
  /** Sends a signal to the process group, by its name (`"SIGTERM"`) or its number. */
  signal(signal: SignalName | number): Promise<void>;
}

/** How a status looks to a manager; `running` needs a second look. */
export const STATES: Readonly<Record<SandboxStatus, ManagedState>> = {
  creating: "starting",
  running: "ready",
  draining: "stopping",
  paused: "paused",
  stopped: "stopped",
  crashed: "crashed",
};
