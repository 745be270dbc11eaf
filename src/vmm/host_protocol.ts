/**
 * The lines between a VM host process and the process that started it, on standard input and output: one JSON text each.
 *
 * `launch_vm.ts` writes the former and reads the latter; `main.ts` does the reverse. Both come from the same release, so
 * any mismatch is a fault of the library, and refused.
 *
 * @module
 */
import type { EngineName } from "../base/engine_name.ts";
import { type ErrorCode, InternalError } from "../base/errors.ts";
import type { EgressConfig } from "../egress/config.ts";
import type { EgressReport } from "../egress/update.ts";
import type { DevicePlan } from "../network/network_plan.ts";
import type { PortAddress, PublishedPort } from "../network/published_port.ts";
import type { BootKey, CreateClaim, DirectoryMove } from "../state/state_store.ts";

/** First line in: which sandbox this process runs. */
export interface ClaimRequest {
  readonly type: "claim";
  readonly home: string;
  readonly runDirectory: string;
  readonly sandbox:
    | ({ readonly kind: "create" } & Omit<CreateClaim, "runDirectory" | "host">)
    /** The boot after `last`, which has left nothing behind. */
    | { readonly kind: "start"; readonly last: BootKey };
  readonly engine: EngineName;
  /** Whether to keep running when the process that started it ends. */
  readonly detached: boolean;
}

/** The limits of one sandbox in milliseconds; `undefined` is no limit. */
export interface TimeLimitConfig {
  /** From now on. */
  readonly maxDurationMs: number | undefined;
  /** From the last activity on. */
  readonly idleTimeoutMs: number | undefined;
}

/** Second line in, once what it names is in place: boot. */
export interface BootRequest {
  readonly type: "boot";
  readonly cpus: number;
  readonly memoryMiB: number;
  /** In the order in which the guest sees them: the boot disk first. */
  readonly disks: readonly DiskConfig[];
  /** Whether /dev/kvm can run guests. */
  readonly kvm: boolean;
  readonly guest: GuestConfig;
  readonly logDirectory: string;
  /** From this request to the agent's `ready`. */
  readonly bootTimeoutMs: number;
  /** How long programs get to end in a stop that no client asked for (parent gone, time limit). */
  readonly stopGraceMs: number;
  readonly limits: TimeLimitConfig;
  /** How long the agent may be silent until the VM is ended as crashed; `null`: for ever. */
  readonly hangTimeoutMs: number | null;
  /** `undefined`: no network device. */
  readonly network?: DevicePlan | undefined;
  /** What decides about the connections of a guest that has no device; `undefined`: it has none. */
  readonly egress?: EgressConfig | undefined;
  /** What decides, where the process that started this one carries the connections, and comes for it while it prepares the guest. */
  readonly servedEgress?: EgressReport | undefined;
  /** Ports of the host to listen at while the sandbox runs. */
  readonly ports: readonly PublishedPort[];
  /** A directory of this machine that is the root's lower layer; `undefined`: that is a disk. */
  readonly rootDirectory?: string | undefined;
  /** What to mount, in that order. */
  readonly mounts: readonly MountRequest[];
  /** Whether the process that started this one works on the guest's files first, and says when it is done. */
  readonly isPrepared: boolean;
  /** Where the sandbox's directory goes when it ends, with the sandbox; `undefined`: it is kept. */
  readonly removeAtEnd?: DirectoryMove | undefined;
  /** The engine's library or program. */
  readonly enginePath: string;
  readonly libkrunfwPath: string;
}

/** A user and a group, by number. */
export interface OwnerIds {
  readonly uid: number;
  readonly gid: number;
}

/** Something to mount in the guest. */
export type MountRequest = {
  readonly target: string;
  readonly isReadonly: boolean;
  readonly isNoExec: boolean;
} & (
  | {
      /** A directory or file of this machine, and whom its files belong to in the guest. */
      readonly source: string;
      readonly owner: OwnerIds;
      /** Whether the guest is told of changes that are made here. */
      readonly isWatched: boolean;
      /** Whether locks of the guest's programs are taken on the files here. */
      readonly hasLocks: boolean;
    }
  | {
      /** A file system in the guest's memory. */
      readonly memoryBytes: number;
    }
  | {
      /** A disk of the VM, as the guest names it. */
      readonly device: string;
      /** Its file system; `""`: the guest finds out. */
      readonly fstype: string;
      /** Whether the guest's kernel discards nothing of it. */
      readonly isDiscardForbidden: boolean;
    }
);

/** How a disk's file holds its bytes. */
export type DiskFormat = "raw" | "qcow2";

/** The console port that leads to the directory that the guest's root is on: the guest looks for it by that name. */
export const ROOT_PORT = "root";

/** The disk that is written to, by its id: what metrics call the upper one. */
export const UPPER_DISK = "upper";

export interface DiskConfig {
  /** Unique in the VM. */
  readonly id: string;
  readonly path: string;
  readonly readOnly: boolean;
  /** Size that the guest sees, if the file may have become shorter; `undefined`: that of the file. */
  readonly sizeBytes?: number | undefined;
  /** How the file holds the disk's bytes. @default {"raw"} */
  readonly format?: DiskFormat | undefined;
  /**
   * The file whose lock says who uses the disk: held while the VM lives, shared by those that only read. `undefined`: it is
   * the sandbox's own, or nothing ever writes to it.
   */
  readonly lockPath?: string | undefined;
}

/** Input for the agent to assemble the guest's root. */
export interface GuestConfig {
  readonly imageDevice: string;
  readonly imageType: string;
  /** `""`: writes go to memory. */
  readonly upperDevice: string;
  /** Its file system: `"ext4"`, or `"tmpfs"` for memory. */
  readonly upperType: string;
  /** Options of its mount. */
  readonly upperOptions: string;
  /** Bits of `MountFlag`. */
  readonly upperFlags: number;
  readonly hostname: string;
  /** Text of /etc/hosts. */
  readonly hosts: string;
  /** Text of /etc/resolv.conf; `""` leaves the image's. */
  readonly resolvConf: string;
}

/** All lines in. The end of input means that the parent is gone. */
export type ParentMessage =
  | ClaimRequest
  | BootRequest
  /** The guest's files are ready. */
  | { readonly type: "prepared" }
  | { readonly type: "detach" };

/** How far a boot got, in order; `patches` only if there are some. */
export type BootStep = "claim" | "kernel" | "engine" | "agent" | "root" | "patches" | "ready";

/** Lines out. */
export type HostReport =
  | { readonly type: "claimed"; readonly key: BootKey }
  | { readonly type: "refused"; readonly reason: "exists" | "notStartable" }
  /** A step was reached; `atMs` counts from the start of the process. */
  | { readonly type: "step"; readonly step: BootStep; readonly atMs: number }
  /** The guest waits at `prepare.sock` for the process that started this one. */
  | { readonly type: "preparing" }
  | { readonly type: "ready"; readonly guest: GuestTimes }
  | {
      readonly type: "failed";
      readonly step: BootStep;
      readonly message: string;
      /** `code` of the error behind it, where it is one of ours. */
      readonly code?: ErrorCode | undefined;
      readonly hint?: string | undefined;
      /** The port that is in use, where that is the failure. */
      readonly portInUse?: PortAddress | undefined;
      /** The path of the disk that is in use, where that is the failure. */
      readonly diskInUse?: string | undefined;
    };

/** What the guest says of its boot. */
export interface GuestTimes {
  /** Microseconds from the kernel's start to the agent's. */
  readonly agentStartMicros: number;
  /** … to all mounts done and exec possible. */
  readonly readyMicros: number;
  readonly kernelRelease: string;
}

/** @throws {InternalError} if the line is not one of `types`. */
export function parseLine<T extends { readonly type: string }>(line: string, types: readonly string[]): T {
  const value = parseJson(line);
  if (
    typeof value === "object" &&
    value !== null &&
    "type" in value &&
    types.some((type) => type === value.type)
  ) {
    return value as T;
  }
  throw new InternalError(`The VM host protocol has no such line: ${line.slice(0, 200)}`);
}

/** `undefined` if the line is not JSON, for example a warning of the runtime. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
