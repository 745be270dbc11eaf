/** What the tests of the logs share: a log directory of their own, a clock that stands still, ways to read all. */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type ExecLogWriter, openExecLogWriter } from "../../../src/logs/exec_log_writer.ts";
import { type LogStream, openLogStream } from "../../../src/logs/log_stream.ts";
import type { LogWriterOptions } from "../../../src/logs/rotating_file.ts";
import type { LogEntry, LogStreamOptions } from "../../../src/logs/types.ts";
import { temporaryDirectory } from "../../support/harness.ts";

export const SANDBOX_ID = "0198c2f0-sandbox";
export const START_MS = Date.UTC(2026, 0, 31, 12);

export interface TestLogs extends Disposable {
  readonly directory: string;
  readonly sandboxId: string;
  /** The time of writers; tests move it. */
  nowMs: number;
  /** What `isTerminal` answers. */
  terminal: boolean;
  readonly isTerminal: () => Promise<boolean>;
  path(name: string): string;
  writer(options?: Partial<LogWriterOptions>): ExecLogWriter;
  stream(options?: LogStreamOptions): Promise<LogStream>;
}

export function testLogs(): TestLogs {
  const root = temporaryDirectory();
  const logs: TestLogs = {
    directory: join(root.path, "logs"),
    sandboxId: SANDBOX_ID,
    nowMs: START_MS,
    terminal: false,
    isTerminal: () => Promise.resolve(logs.terminal),
    path: (name) => join(logs.directory, name),
    writer: (options) =>
      openExecLogWriter({
        directory: logs.directory,
        sandboxId: SANDBOX_ID,
        clock: () => logs.nowMs,
        ...options,
      }),
    stream: (options) => openLogStream(logs, options),
    [Symbol.dispose]: () => root[Symbol.dispose](),
  };
  return logs;
}

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

export async function collect(stream: AsyncIterable<LogEntry>): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for await (const entry of stream) entries.push(entry);
  return entries;
}

/** The next `count` entries. */
export async function take(stream: LogStream, count: number): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  while (entries.length < count) {
    const entry = await stream.recv();
    assert.ok(entry !== null, `the stream ended after ${entries.length} of ${count} entries`);
    entries.push(entry);
  }
  return entries;
}

export function texts(entries: readonly LogEntry[]): string[] {
  return entries.map((entry) => entry.text());
}

/** `count` records `prefix0`, `prefix1` …, all from session 1. */
export function appendMany(writer: ExecLogWriter, prefix: string, count: number): string[] {
  const written = Array.from({ length: count }, (_, index) => `${prefix}${index}\n`);
  for (const text of written) writer.append("stdout", 1, bytes(text));
  return written;
}

/** Descriptors of this process that are open on a file of `logs`. */
export function openFiles(logs: TestLogs): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${fd}`);
      return target.startsWith(logs.directory) ? [target] : [];
    } catch {
      return []; // the one that listed the directory
    }
  });
}
