/**
 * Reading the logs as they are at this moment, sorted by time.
 *
 * @module
 */
import { encodeCursor, type LogPosition } from "./cursor.ts";
import type { StoredEntry } from "./entry.ts";
import { EntryReader } from "./entry_reader.ts";
import { LOG_FILES, type LogFileSpec } from "./log_files.ts";
import { type LogDirectory, requireDirectory } from "./log_source.ts";
import { parseReadOptions, type ReadConfig } from "./options.ts";
import { type LogPart, readTail } from "./tail_reader.ts";
import type { LogEntry, LogReadOptions, LogSnapshot } from "./types.ts";

/**
 * All entries in a log directory that `options` ask for, in the order of time.
 *
 * @throws InvalidConfigError if an option cannot be used
 * @throws LogsUnavailableError if the directory or a file in it is absent or cannot be read
 * @throws MissedRotationError if files were removed while they were being read
 */
export async function readLogDirectory(
  logs: LogDirectory,
  options: LogReadOptions = {},
): Promise<LogEntry[]> {
  return (await readLogDirectorySnapshot(logs, options)).entries;
}

/** The same, with the cursor of the end: a stream from there misses nothing and repeats nothing. */
export async function readLogDirectorySnapshot(
  logs: LogDirectory,
  options: LogReadOptions = {},
): Promise<LogSnapshot> {
  const config = parseReadOptions(options);
  await requireDirectory(logs.directory);
  const parts: LogPart[] = [];
  for (const spec of LOG_FILES) parts.push(await readPart(logs, spec, config));
  const ends = new Map<number, LogPosition>();
  for (const { fileId, end } of parts) if (end !== undefined) ends.set(fileId, end);
  const entries = sortByTime(parts);
  const first = Math.max(0, entries.length - config.tail);
  return {
    entries: first === 0 ? entries : entries.slice(first),
    cursor: encodeCursor(logs.sandboxId, ends),
  };
}

async function readPart(logs: LogDirectory, spec: LogFileSpec, config: ReadConfig): Promise<LogPart> {
  if (!config.files.includes(spec)) return readTail(logs, spec, config, 0); // only where it ends
  if (config.tail !== Number.POSITIVE_INFINITY) return readTail(logs, spec, config, config.tail);
  const reader = await EntryReader.open(logs, { ...config, files: [spec] });
  try {
    await reader.stopAtEnd();
    const entries: StoredEntry[] = [];
    for (let step = await reader.step(); typeof step === "object"; step = await reader.step()) {
      for (const entry of step.entries) entries.push(entry);
    }
    return { fileId: spec.id, entries, end: reader.positions.get(spec.id) };
  } finally {
    reader.close();
  }
}

/** Entries of the same time keep the order in which they were written. */
function sortByTime(parts: readonly LogPart[]): StoredEntry[] {
  const used = parts.filter(({ entries }) => entries.length > 0);
  const [only] = used;
  if (used.length === 1 && only !== undefined && isSorted(only.entries)) return only.entries;
  const entries = used.flatMap((part) => part.entries);
  entries.sort((a, b) => a.timestampMs - b.timestampMs);
  placeCursors(entries, used);
  return entries;
}

function isSorted(entries: readonly StoredEntry[]): boolean {
  return entries.every((entry, index) => index === 0 || entries[index - 1]!.timestampMs <= entry.timestampMs);
}

/**
 * After sorting, the cursor of an entry stands in each log just before the first entry that is still to come. So a
 * stream from there loses nothing; and it repeats nothing, unless the clock was set back and sorting has changed the
 * order within one log.
 */
function placeCursors(sorted: readonly StoredEntry[], parts: readonly LogPart[]): void {
  const logs = new Map(parts.map(({ fileId, entries }) => [fileId, { entries, comes: entries.length }]));
  const order = new Map<StoredEntry, number>();
  for (const { entries } of parts) for (const [index, entry] of entries.entries()) order.set(entry, index);
  for (const entry of sorted.toReversed()) {
    const positions = new Map<number, LogPosition>();
    for (const [fileId, { entries, comes }] of logs) {
      const before = entries[comes - 1];
      if (before !== undefined) positions.set(fileId, before.position);
    }
    entry.setPositions(positions);
    const own = logs.get(entry.fileId)!;
    own.comes = Math.min(own.comes, order.get(entry)!);
  }
}
