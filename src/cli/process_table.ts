/** The programs in a sandbox, as `msb top` shows them. @module */
import type { SandboxProcess, SandboxProcessList } from "../../mod.ts";
import { formatBytes } from "./format.ts";
import type { Column } from "./table.ts";

/** A list of programs, and when it was made, on the monotonic clock. */
export interface TimedList extends SandboxProcessList {
  readonly atMs: number;
}

/** A program, with its use of a processor since the list before. */
export interface ProcessRow extends SandboxProcess {
  /** In percent of one processor. */
  readonly cpuPercent: number;
}

/** Two lists give the start of a program on different clocks: it is the same one if they differ by no more. */
const SAME_START_MS = 2000;

export const PROCESS_COLUMNS: readonly Column<ProcessRow>[] = [
  { heading: "PID", value: ({ pid }) => pid, align: "right" },
  { heading: "USER", value: ({ uid, user }) => user ?? uid },
  { heading: "S", value: ({ state }) => state },
  {
    heading: "CPU %",
    value: ({ cpuPercent }) => Number(cpuPercent.toFixed(2)),
    shown: ({ cpuPercent }) => cpuPercent.toFixed(1),
    align: "right",
  },
  {
    heading: "MEMORY",
    value: ({ memoryBytes }) => memoryBytes,
    shown: ({ memoryBytes }) => formatBytes(memoryBytes),
    align: "right",
  },
  {
    heading: "TIME",
    value: ({ cpuTimeMs }) => cpuTimeMs,
    shown: ({ cpuTimeMs }) => formatCpuTime(cpuTimeMs),
    align: "right",
  },
  { heading: "COMMAND", value: ({ command }) => command },
];

/** The programs of `now`, the busiest since `before` first. */
export function toRows(before: TimedList, now: TimedList): ProcessRow[] {
  const earlier = new Map(before.processes.map((process) => [process.pid, process]));
  const elapsedMs = Math.max(1, now.atMs - before.atMs);
  return now.processes
    .map((process) => {
      const last = earlier.get(process.pid);
      const isSame =
        last !== undefined &&
        Math.abs(last.startedAt.getTime() - process.startedAt.getTime()) <= SAME_START_MS;
      const usedMs = Math.max(0, process.cpuTimeMs - (isSame ? last.cpuTimeMs : 0));
      return { ...process, cpuPercent: (usedMs / elapsedMs) * 100 };
    })
    .toSorted((a, b) => b.cpuPercent - a.cpuPercent || b.cpuTimeMs - a.cpuTimeMs || a.pid - b.pid);
}

/** `"0:07.25"`, `"83:00.00"`: minutes and seconds, as top shows them. */
export function formatCpuTime(cpuTimeMs: number): string {
  const minutes = Math.floor(cpuTimeMs / 60_000);
  const seconds = (Math.floor(cpuTimeMs / 10) % 6000) / 100;
  return `${minutes}:${seconds.toFixed(2).padStart(5, "0")}`;
}
