/**
 * How fast the processor's time-stamp counter runs. Neither Linux nor JavaScript says so, so it is read twice, by a
 * function of two instructions, and compared with the clock.
 *
 * QEMU gives an emulated guest the host's counter. A guest that has to find the speed out for itself compares it with
 * an emulated timer chip, fails if the host is busy in that moment, and then runs without a clock of use: it loses time,
 * and wakes 250 times a second.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { loadNativeInterface } from "./bind.ts";
import { cString } from "./c_memory.ts";
import { openLibc } from "./libc.ts";

/** Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, RDTSC: the counter comes in two halves. */
const READ_COUNTER: readonly number[] = [
  ...[0x0f, 0x31], // rdtsc
  ...[0x48, 0xc1, 0xe2, 0x20], // shl rdx, 32
  ...[0x48, 0x09, 0xd0], // or rax, rdx
  0xc3, // ret
];
const CLOCK_SOURCES = "/sys/devices/system/clocksource/clocksource0/available_clocksource";
/** Values of `<sys/mman.h>` on Linux. */
const MFD_CLOEXEC = 1;
const PROT_READ_EXEC = 0x1 | 0x4;
const MAP_PRIVATE = 0x2;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;
const PAGE_BYTES = 4096n;

/** Between the two readings: an error of a microsecond is then one of a ten-thousandth. */
const MEASURE_MS = 10;
/** This process may be interrupted while it reads: the quickest of so many readings counts. */
const READINGS = 5;
const NS_PER_MS = 1_000_000n;

interface Reading {
  readonly counter: bigint;
  readonly atNs: bigint;
}

/** A measurement that has begun. */
export class TscMeasurement {
  readonly #readCounter: () => bigint;
  readonly #begin: Reading;
  readonly #ripe: Promise<void>;

  /** `undefined` where there is no such counter, no trust in it, or where the system forbids executable memory. */
  static async begin(): Promise<TscMeasurement | undefined> {
    if (process.arch !== "x64" || !isTrusted()) return undefined;
    const readCounter = await makeReadCounter();
    return readCounter === undefined ? undefined : new TscMeasurement(readCounter);
  }

  private constructor(readCounter: () => bigint) {
    this.#readCounter = readCounter;
    this.#begin = this.#read();
    this.#ripe = new Promise((resolve) => setTimeout(resolve, MEASURE_MS));
  }

  /** Thousands of ticks a second; takes what is left of 10 ms since the beginning. */
  async finish(): Promise<number> {
    await this.#ripe;
    const end = this.#read();
    return Number(((end.counter - this.#begin.counter) * NS_PER_MS) / (end.atNs - this.#begin.atNs));
  }

  #read(): Reading {
    const readings = Array.from({ length: READINGS }, () => {
      const before = process.hrtime.bigint();
      const counter = this.#readCounter();
      const tookNs = process.hrtime.bigint() - before;
      return { counter, atNs: before + tookNs / 2n, tookNs };
    });
    return readings.reduce((best, reading) => (reading.tookNs < best.tookNs ? reading : best));
  }
}

/** Linux takes a counter that runs unsteadily, or not alike on all processors, off this list. */
function isTrusted(): boolean {
  try {
    return readFileSync(CLOCK_SOURCES, "utf8").split(/\s/).includes("tsc");
  } catch {
    return false; // a system without that file: nothing is known
  }
}

/** The instructions are in a file in memory, so that no memory is ever both writable and executable. */
async function makeReadCounter(): Promise<(() => bigint) | undefined> {
  const native = await loadNativeInterface();
  const c = openLibc(native);
  const file = c.memfd_create(cString("read-counter"), MFD_CLOEXEC);
  if (file === -1) return undefined;
  c.write(file, new Uint8Array(READ_COUNTER), BigInt(READ_COUNTER.length));
  const address = c.mmap(0n, PAGE_BYTES, PROT_READ_EXEC, MAP_PRIVATE, file, 0n);
  c.close(file);
  return address === MAP_FAILED ? undefined : native.functionAt(address, [[], "u64"]);
}
