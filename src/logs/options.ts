/** Checks what callers ask for, once; past this, options are plain and true. @module */
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import { suggestOption } from "../base/suggest_option.ts";
import type { EntryFilter } from "./line_parser.ts";
import { LOG_FILES, type LogFileSpec } from "./log_files.ts";
import {
  DEFAULT_LOG_SOURCES,
  LOG_SOURCES,
  type LogReadOptions,
  type LogSource,
  type LogStreamOptions,
} from "./types.ts";

/** What to read. */
export interface ReadConfig extends EntryFilter {
  /** The files that can hold entries of the wanted sources. */
  readonly files: readonly LogFileSpec[];
  readonly tail: number;
  readonly fromCursor: string | undefined;
  readonly follow: boolean;
  /** Whether the record that a job's output is complete ends the reading, if it is of that job alone. */
  readonly endsWithJob: boolean;
}

const READ_OPTIONS: readonly string[] = [
  "tail",
  "since",
  "until",
  "sources",
  "sessionId",
] satisfies (keyof LogReadOptions)[];
const STREAM_OPTIONS: readonly string[] = [
  "sources",
  "sessionId",
  "since",
  "fromCursor",
  "until",
  "follow",
  "signal",
] satisfies (keyof LogStreamOptions)[];

/** @throws InvalidConfigError naming each option that cannot be used */
export function parseReadOptions(options: LogReadOptions): ReadConfig {
  return { ...parse({ ...options }, READ_OPTIONS), endsWithJob: false };
}

/** @throws InvalidConfigError naming each option that cannot be used */
export function parseStreamOptions(options: LogStreamOptions): ReadConfig {
  return { ...parse({ ...options }, STREAM_OPTIONS), endsWithJob: true };
}

function problemOfUnknown(field: string, known: readonly string[]): string {
  const meant = suggestOption(field, known);
  return `is not known${meant === undefined ? "" : `: did you mean ${meant}?`}`;
}

function parse(options: Record<string, unknown>, known: readonly string[]): Omit<ReadConfig, "endsWithJob"> {
  const issues: ConfigIssue[] = [];
  const check = <T>(field: string, valid: boolean, problem: string, value: T): T => {
    if (!valid) issues.push({ field, problem: `${problem}: current value is ${String(options[field])}` });
    return value;
  };
  for (const field of Object.keys(options))
    if (!known.includes(field)) issues.push({ field, problem: problemOfUnknown(field, known) });
  const {
    tail = Number.POSITIVE_INFINITY,
    since,
    until,
    sources,
    sessionId,
    fromCursor,
    follow = false,
    signal,
  } = options;
  const isTail = tail === Number.POSITIVE_INFINITY || (Number.isSafeInteger(tail) && Number(tail) >= 0);
  const sinceMs = parseTime(since, Number.NEGATIVE_INFINITY);
  const untilMs = parseTime(until, Number.POSITIVE_INFINITY);
  const wanted = parseSources(sources);
  check("sources", wanted !== undefined, `must be an array of ${LOG_SOURCES.join(", ")} or all`, wanted);
  check("signal", signal === undefined || signal instanceof AbortSignal, "must be an AbortSignal", signal);
  const isSession = sessionId === undefined || (Number.isSafeInteger(sessionId) && Number(sessionId) >= 0);
  const config = {
    sessionId: check(
      "sessionId",
      isSession,
      "must be an integer of at least 0",
      sessionId as number | undefined,
    ),
    sources: wanted ?? new Set<LogSource>(),
    sinceMs: check("since", !Number.isNaN(sinceMs), "must be a time", sinceMs),
    untilMs: check("until", !Number.isNaN(untilMs), "must be a time", untilMs),
    tail: check("tail", isTail, "must be an integer of at least 0", Number(tail)),
    fromCursor: typeof fromCursor === "string" ? fromCursor : undefined,
    follow: check("follow", typeof follow === "boolean", "must be a boolean", follow === true),
  };
  check(
    "fromCursor",
    fromCursor === undefined || typeof fromCursor === "string",
    "must be a string",
    fromCursor,
  );
  if (issues.length > 0) throw new InvalidConfigError(issues);
  const files = LOG_FILES.filter(
    (file) =>
      file.sources.some((source) => config.sources.has(source)) &&
      (sessionId === undefined || file.format === "record"), // other lines belong to no session
  );
  return { ...config, files };
}

/** `NaN` if `value` is no time. */
function parseTime(value: unknown, absent: number): number {
  if (value === undefined) return absent;
  if (value instanceof Date) return value.getTime();
  if (typeof value === "string") return Date.parse(value);
  return typeof value === "number" ? value : Number.NaN;
}

/** An empty list means the default, as no list does. */
function parseSources(value: unknown): Set<LogSource> | undefined {
  if (value === undefined) return new Set(DEFAULT_LOG_SOURCES);
  if (!Array.isArray(value)) return undefined;
  if (value.length === 0) return new Set(DEFAULT_LOG_SOURCES);
  if (value.includes("all")) return value.every(isSourceOrAll) ? new Set(LOG_SOURCES) : undefined;
  return value.every(isSource) ? new Set(value) : undefined;
}

function isSource(value: unknown): value is LogSource {
  return LOG_SOURCES.some((source) => source === value);
}

function isSourceOrAll(value: unknown): boolean {
  return value === "all" || isSource(value);
}
