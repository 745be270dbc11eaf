/**
 * The interface of an engine, which runs one VM with a console file and a byte stream to the guest's agent.
 *
 * @module
 */
import type { EngineName } from "../../base/engine_name.ts";
import type { DiskConfig } from "../host_protocol.ts";

/** A virtio-net device, by its other end. */
export type NetworkDevice =
  /** A listening stream socket that takes the frames in passt's framing. */
  | { readonly kind: "stream"; readonly socketPath: string; readonly mac: string }
  /** A TAP device that the engine makes, and that disappears with it. No device has that name yet. */
  | { readonly kind: "tap"; readonly tapName: string; readonly mac: string };

/** The files of an engine, as they were found. */
export interface EngineStart {
  /** Its library or program. */
  readonly enginePath: string;
  readonly libkrunfwPath: string;
}

export interface VmConfig extends EngineStart {
  readonly home: string;
  /** Holds the files of `RunFile`. This process listens at `RunFile.agent` already. */
  readonly runDirectory: string;
  readonly cpus: number;
  readonly memoryMiB: number;
  readonly disks: readonly DiskConfig[];
  /** Whether there is a port that leads to `RunFile.root`, where this process listens already. */
  readonly hasRootPort: boolean;
  /** `undefined`: no network device. */
  readonly networkDevice?: NetworkDevice | undefined;
  /** Whether /dev/kvm can run guests. */
  readonly kvm: boolean;
  /** Called when the VM is about to run. */
  readonly onStarting: () => void;
}

/** A running VM. Its agent port connects to `RunFile.agent`. */
export interface RunningVm {
  /** Resolves when the VM has ended by itself, with a reason for people; never rejects. */
  readonly exited: Promise<string>;
  /** The process whose memory and threads are the VM's; `undefined` if there is none that can be looked at. */
  readonly pid: number | undefined;
  /** What the engine calls the threads of that process that are the VM's processors. */
  readonly cpuThreadName: RegExp;
  /** Ends the VM at once. With krun this ends the whole process and does not return. */
  kill(): void;
}

export interface Engine {
  readonly name: EngineName;
  /** @throws the reason why the VM cannot start. */
  launch(config: VmConfig): Promise<RunningVm>;
}

/** Name of the console port that carries the agent's stream: the guest looks for it. */
export const AGENT_PORT = "agent";

/** The words that make either kernel boot our boot disk and run the agent as PID 1. */
export const KERNEL_WORDS: readonly string[] = [
  ...["root=/dev/vda", "rootfstype=erofs", "ro", "init=/agent"],
  // The kernel would make eight loop devices that take 8 MiB together. losetup(8) still makes those that it needs.
  "max_loop=0",
];
