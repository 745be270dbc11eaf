/**
 * Answers what a sandbox uses: the guest's word about its memory, disks and network, beside what the host sees itself.
 *
 * Nothing is measured unless somebody asks. What the guest says is bounded by what the sandbox was given, where that is known.
 *
 * @module
 */
import { GuestErrno } from "../../agent/guest_errno.ts";
import { Measured, type MessageFields } from "../../agent/protocol.ts";
import { MiB } from "../../base/bytes.ts";
import { messageOf, TimeoutError } from "../../base/errors.ts";
import type { RunningVm } from "../engine/engine.ts";
import { type BootRequest, UPPER_DISK } from "../host_protocol.ts";
import {
  findThreads,
  readAllocatedBytes,
  readResidentBytes,
  readTapBytes,
  readThreadMicros,
} from "./host_usage.ts";
import { SharedQuestion } from "./shared_question.ts";

/** An answer, but for the token of its question. */
export type Measurement = Omit<MessageFields<"measured">, "token">;

type Usage = MessageFields<"usage">;
type Programs = MessageFields<"processes">;

/** What is measured. */
export interface MeasuredVm {
  readonly vm: Pick<RunningVm, "pid" | "cpuThreadName">;
  readonly request: Pick<BootRequest, "cpus" | "memoryMiB" | "disks" | "network">;
  /** What the guest has received and sent, where it is carried here: on its interface each byte passes twice. */
  readonly traffic?: (() => { readonly rxBytes: number; readonly txBytes: number }) | undefined;
  /** Asks the guest. */
  usage(): Promise<Usage>;
  processes(): Promise<Programs>;
}

export class Metrics {
  readonly #measured: MeasuredVm;
  readonly #startedMs = performance.now();
  /** The threads of the VM's processors, once they were found: they last as long as the VM. */
  #cpuThreads: readonly string[] | undefined;
  readonly #usage: SharedQuestion<Usage>;
  readonly #programs: SharedQuestion<Programs>;

  /** The time for which the sandbox runs counts from now. */
  constructor(measured: MeasuredVm) {
    this.#measured = measured;
    this.#usage = new SharedQuestion(() => measured.usage());
    this.#programs = new SharedQuestion(() => measured.processes());
  }

  /** Measures; never rejects. */
  async measure(): Promise<Measurement> {
    try {
      const usage = await this.#usage.get();
      if (usage.errno !== 0) return unmeasured(usage.errno, "the guest's kernel does not say what it uses");
      return this.#combine(usage);
    } catch (error) {
      return unmeasured(errnoOfFailure(error), messageOf(error));
    }
  }

  /** Lists the programs in the guest; never rejects. */
  async processes(): Promise<Omit<Programs, "token">> {
    try {
      return await this.#programs.get();
    } catch (error) {
      return noProcesses(errnoOfFailure(error));
    }
  }

  /** Reads the host's side now, at once, so that all of it is of one moment. */
  #combine(usage: Usage): Measurement {
    const { request, vm } = this.#measured;
    const vcpuMicros = this.#readCpuMicros();
    const uptimeMicros = Math.round((performance.now() - this.#startedMs) * 1000);
    const limit = request.memoryMiB * MiB;
    // libkrun puts the kernel's image beside the memory that was asked for: what a guest has in all may be more than that.
    const used = Math.max(0, usage.memoryTotalBytes - usage.memoryAvailableBytes);
    const disk = request.disks.find(({ id }) => id === UPPER_DISK);
    const diskBytes = disk?.sizeBytes ?? Number.MAX_SAFE_INTEGER;
    const resident = readResidentBytes(vm.pid === undefined ? [process.pid] : [process.pid, vm.pid]);
    const allocated = disk === undefined ? undefined : readAllocatedBytes(disk.path);
    const counted =
      request.network?.mode === "tap" ? readTapBytes(request.network.tapName) : this.#measured.traffic?.();
    return {
      errno: 0,
      message: "",
      known:
        (usage.upper === 0 ? 0 : Measured.upper) |
        (resident === undefined ? 0 : Measured.hostResident) |
        (allocated === undefined ? 0 : Measured.upperHostAllocated),
      cpus: request.cpus,
      vcpuMicros,
      uptimeMicros,
      timestampMs: Date.now(),
      memoryBytes: Math.min(used, limit),
      memoryAvailableBytes: Math.min(usage.memoryAvailableBytes, limit),
      memoryHostResidentBytes: resident ?? 0,
      memoryLimitBytes: limit,
      diskReadBytes: usage.diskReadBytes,
      diskWriteBytes: usage.diskWriteBytes,
      netRxBytes: counted?.rxBytes ?? usage.netRxBytes,
      netTxBytes: counted?.txBytes ?? usage.netTxBytes,
      upperUsedBytes: Math.min(usage.upperUsedBytes, diskBytes),
      upperFreeBytes: Math.min(usage.upperFreeBytes, diskBytes),
      upperHostAllocatedBytes: allocated ?? 0,
    };
  }

  /** @throws {Error} if the host does not say. */
  #readCpuMicros(): number {
    const { pid, cpuThreadName } = this.#measured.vm;
    if (pid === undefined) throw new Error("the engine's process is gone");
    this.#cpuThreads ??= findThreads(pid, cpuThreadName);
    if (this.#cpuThreads.length === 0) throw new Error(`process ${pid} has no thread named ${cpuThreadName}`);
    return readThreadMicros(pid, this.#cpuThreads);
  }
}

function errnoOfFailure(error: unknown): number {
  return error instanceof TimeoutError ? GuestErrno.ETIMEDOUT : GuestErrno.EOPNOTSUPP;
}

/** The answer where there is no list. */
export function noProcesses(errno: number): Omit<Programs, "token"> {
  return { errno, total: 0, processes: [] };
}

/** The answer where there are no numbers. */
export function unmeasured(errno: number, message: string): Measurement {
  return {
    errno,
    message,
    known: 0,
    cpus: 0,
    vcpuMicros: 0,
    uptimeMicros: 0,
    timestampMs: 0,
    memoryBytes: 0,
    memoryAvailableBytes: 0,
    memoryHostResidentBytes: 0,
    memoryLimitBytes: 0,
    diskReadBytes: 0,
    diskWriteBytes: 0,
    netRxBytes: 0,
    netTxBytes: 0,
    upperUsedBytes: 0,
    upperFreeBytes: 0,
    upperHostAllocatedBytes: 0,
  };
}
