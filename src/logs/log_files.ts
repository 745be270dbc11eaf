/**
 * The table of log files: a new kind of log is one more row, and nothing else has to know it.
 *
 * @module
 */
import type { LogSource } from "./types.ts";

/** How the lines of a file are written: JSON records, or text with a stamp before each line. */
export type LogFormat = "record" | "text";

export interface LogFileSpec {
  /** Names the file inside cursors: never reused, 0 to 127. */
  readonly id: number;
  /** The live file; rotated ones have `.1`, `.2` … appended, the oldest with the highest number. */
  readonly filename: string;
  readonly format: LogFormat;
  /** A file is only opened for readers that want one of these. */
  readonly sources: readonly LogSource[];
}

export const EXEC_LOG = {
  id: 1,
  filename: "exec.log",
  format: "record",
  sources: ["stdout", "stderr", "output", "system"],
} as const;
export const RUNTIME_LOG = { id: 2, filename: "runtime.log", format: "text", sources: ["system"] } as const;
export const NETWORK_LOG = {
  id: 4,
  filename: "network.log",
  format: "record",
  sources: ["network"],
} as const;
export const KERNEL_LOG = { id: 3, filename: "kernel.log", format: "text", sources: ["system"] } as const;

/**
 * Every kind of log file, in the order in which readers visit them and in which entries of the same millisecond come.
 * `exec.log` is last: it holds the marks of a boot's beginning and end, and what the kernel and the engine said comes
 * before both.
 */
export const LOG_FILES: readonly LogFileSpec[] = [RUNTIME_LOG, KERNEL_LOG, NETWORK_LOG, EXEC_LOG];

/** Names that {@linkcode openTextLogWriter} accepts. */
export type TextLogFilename = typeof RUNTIME_LOG.filename | typeof KERNEL_LOG.filename;
