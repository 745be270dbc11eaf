/**
 * What a VM uses of the host, from the host's own files: numbers that no guest can make up.
 *
 * @module
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { KiB } from "../../base/bytes.ts";
import { errnoOf } from "../../base/errors.ts";

/** Of `st_blocks`, whatever the file system's own blocks are (stat(2)). */
const BLOCK_BYTES = 512;

/** Columns of /proc/net/dev, counted behind the device's name, from the host's side (proc(5)). */
const RECEIVED = 0;
const SENT = 8;

/**
 * The ids of the threads of a process that are named so (`/proc/PID/task/TID/comm`). One that ends while this looks is left
 * out.
 */
export function findThreads(pid: number, name: RegExp): readonly string[] {
  const directory = `/proc/${pid}/task`;
  return readdirSync(directory).filter((thread) =>
    name.test(readIfThere(`${directory}/${thread}/comm`).trim()),
  );
}

/** How long these threads have run on a processor in all, in microseconds (the kernel's Documentation/scheduler/sched-stats.rst). */
export function readThreadMicros(pid: number, threads: readonly string[]): number {
  let nanoseconds = 0;
  for (const thread of threads)
    nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return Math.floor(nanoseconds / 1000);
}

/** Memory of the host that these processes have, in bytes; `undefined` if one of them cannot be looked at. */
export function readResidentBytes(pids: Iterable<number>): number | undefined {
  let bytes = 0;
  for (const pid of new Set(pids)) {
    const match = /^VmRSS:\s*(?<kib>\d+) kB$/m.exec(readIfThere(`/proc/${pid}/status`));
    if (match === null) return undefined;
    bytes += Number(match.groups?.["kib"]) * KiB;
  }
  return bytes;
}

/** What a file takes on the host's disk, holes left out; `undefined` if it is not there. */
export function readAllocatedBytes(path: string): number | undefined {
  const status = statSync(path, { throwIfNoEntry: false });
  return status === undefined ? undefined : status.blocks * BLOCK_BYTES;
}

/**
 * Bytes that a TAP device has carried, as its guest counts them; `undefined` if it is not there. From /proc/net/dev and not
 * from /sys, which may show another network namespace's devices.
 */
export function readTapBytes(
  name: string,
): { readonly rxBytes: number; readonly txBytes: number } | undefined {
  const line = readIfThere("/proc/self/net/dev")
    .split("\n")
    .find((text) => text.trimStart().startsWith(`${name}:`));
  if (line === undefined) return undefined;
  const counters = line
    .slice(line.indexOf(":") + 1)
    .trim()
    .split(/\s+/);
  return { rxBytes: Number(counters[SENT]), txBytes: Number(counters[RECEIVED]) };
}

/** The text of a file of the kernel; `""` if what it is about is gone. */
function readIfThere(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === "ENOENT" || errno === "ESRCH" || errno === "EACCES") return "";
    throw error;
  }
}
