/**
 * What a VM host process is told on its standard input, and what it tells on its standard output: one JSON text a line.
 *
 * `launch.ts` writes the one and reads the other; `main.ts` does the reverse. Both come from the same release, so a
 * mismatch is a fault and not an input: it is checked, and refused whole.
 *
 * @module
 */
import { type ErrorCode, InternalError } from "../base/errors.ts";
import type { NetworkPlan } from "../network/network_plan.ts";
import type { PortAddress, PublishedPort } from "../network/published_port.ts";
import type { BootKey, CreateClaim, DirectoryMove } from "../state/state_store.ts";

export type EngineName = "krun" | "qemu";

/** First line in: which sandbox this process is to be. */
export interface ClaimRequest {
  readonly type: "claim";
  readonly home: string;
  readonly runDirectory: string;
  readonly sandbox:
    | ({ readonly kind: "create" } & Omit<CreateClaim, "runDirectory" | "host">)
    /** The boot after `last`, of which nothing is left. */
    | { readonly kind: "start"; readonly last: BootKey };
  readonly engine: EngineName;
  /** Whether to go on when the process that started it ends. */
  readonly detached: boolean;
}

/** The limits of one sandbox in milliseconds; `undefined` is none. */
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
  /** Whether /dev/kvm can run guests: the qemu engine emulates otherwise. */
  readonly kvm: boolean;
  readonly guest: GuestConfig;
  readonly logDirectory: string;
  /** From this request to the agent's `ready`. */
  readonly bootTimeoutMs: number;
  /** How long a stop that nobody asked for in person (owner gone, time limit) waits for programs to end. */
  readonly stopGraceMs: number;
  readonly limits: TimeLimitConfig;
  /** How long the agent may be silent until the VM is ended as crashed; `null`: for ever. */
  readonly hangTimeoutMs: number | null;
  /** The network device; none without. */
  readonly network?: NetworkPlan | undefined;
  /** Ports of the host to listen at while the sandbox runs. */
  readonly ports: readonly PublishedPort[];
  /** Where the sandbox's directory goes when it ends, with the sandbox; `undefined`: it is kept. */
  readonly removeAtEnd?: DirectoryMove | undefined;
  /** Where libraries and programs are, if not where they are looked for. */
  readonly libkrunfwPath?: string | undefined;
  readonly qemuPath?: string | undefined;
}

export interface DiskConfig {
  /** Unique in the VM. */
  readonly id: string;
  readonly path: string;
  readonly readOnly: boolean;
  /** What the guest is to see of a disk whose file may have become shorter; `undefined`: what the file has. */
  readonly sizeBytes?: number | undefined;
}

/** What the agent needs to assemble the guest's root. */
export interface GuestConfig {
  readonly imageDevice: string;
  readonly imageType: string;
  /** `""`: writes go to memory. */
  readonly upperDevice: string;
  readonly hostname: string;
  /** Text of /etc/hosts. */
  readonly hosts: string;
  /** Text of /etc/resolv.conf; `""` leaves the image's. */
  readonly resolvConf: string;
}

/** Later lines in. The end of input means that the owner is gone. */
export type OwnerMessage = ClaimRequest | BootRequest | { readonly type: "detach" };

/** How far a boot got, in order. */
export type BootStep = "claim" | "kernel" | "engine" | "agent" | "root" | "ready";

/** Lines out. */
export type HostReport =
  | { readonly type: "claimed"; readonly key: BootKey }
  | { readonly type: "refused"; readonly reason: "exists" | "notStartable" }
  /** A step was reached; `atMs` counts from the start of the process. */
  | { readonly type: "step"; readonly step: BootStep; readonly atMs: number }
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

/** `undefined` for what is no JSON: a warning of the runtime's, for example. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
