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
import type { BootRequest } from "../host_protocol.ts";
import {
  findThreads,
  readAllocatedBytes,
  readResidentBytes,
  readTapBytes,
  readThreadMicros,
} from "./host_usage.ts";

/** An answer, but for the token of its question. */
export type Measurement = Omit<MessageFields<"measured">, "token">;

type Usage = MessageFields<"usage">;

/** What is measured. */
export interface MeasuredVm {
  readonly vm: Pick<RunningVm, "pid" | "cpuThreadName">;
  readonly request: Pick<BootRequest, "cpus" | "memoryMiB" | "disks" | "network">;
  /** Asks the guest. */
  usage(): Promise<Usage>;
}

export class Metrics {
  readonly #measured: MeasuredVm;
  readonly #startedMs = performance.now();
  /** The threads of the VM's processors, once they were found: they last as long as the VM. */
  #cpuThreads: readonly string[] | undefined;
  /** The question that is on its way to the guest, and the one that comes after it. */
  #asked: Promise<Usage> | undefined;
  #next: Promise<Usage> | undefined;

  /** The time for which the sandbox runs counts from now. */
  constructor(measured: MeasuredVm) {
    this.#measured = measured;
  }

  /** Measures; never rejects. */
  async measure(): Promise<Measurement> {
    try {
      const usage = await this.#usage();
      if (usage.errno !== 0) return unmeasured(usage.errno, "the guest's kernel does not say what it uses");
      return this.#combine(usage);
    } catch (error) {
      const errno = error instanceof TimeoutError ? GuestErrno.ETIMEDOUT : GuestErrno.EOPNOTSUPP;
      return unmeasured(errno, messageOf(error));
    }
  }

  /**
   * What the guest uses, asked after this call. One question is on its way at a time, however many ask: those who come
   * while it is share the next one.
   */
  #usage(): Promise<Usage> {
    if (this.#next !== undefined) return this.#next;
    if (this.#asked === undefined) return this.#ask();
    const ask = () => this.#ask();
    this.#next = this.#asked.then(ask, ask);
    return this.#next;
  }

  #ask(): Promise<Usage> {
    this.#next = undefined;
    const asked = this.#measured.usage().finally(() => {
      this.#asked = undefined;
    });
    this.#asked = asked;
    return asked;
  }

  /** Reads the host's side now, at once, so that all of it is of one moment. */
  #combine(usage: Usage): Measurement {
    const { request, vm } = this.#measured;
    const vcpuMicros = this.#readCpuMicros();
    const uptimeMicros = Math.round((performance.now() - this.#startedMs) * 1000);
    const limit = request.memoryMiB * MiB;
    const total = Math.min(usage.memoryTotalBytes, limit);
    const available = Math.min(usage.memoryAvailableBytes, total);
    const disk = request.disks.find(({ readOnly }) => !readOnly);
    const diskBytes = disk?.sizeBytes ?? Number.MAX_SAFE_INTEGER;
    const resident = readResidentBytes(vm.pid === undefined ? [process.pid] : [process.pid, vm.pid]);
    const allocated = disk === undefined ? undefined : readAllocatedBytes(disk.path);
    const tap = request.network?.mode === "tap" ? readTapBytes(request.network.tapName) : undefined;
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
      memoryBytes: total - available,
      memoryAvailableBytes: available,
      memoryHostResidentBytes: resident ?? 0,
      memoryLimitBytes: limit,
      diskReadBytes: usage.diskReadBytes,
      diskWriteBytes: usage.diskWriteBytes,
      netRxBytes: tap?.rxBytes ?? usage.netRxBytes,
      netTxBytes: tap?.txBytes ?? usage.netTxBytes,
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
