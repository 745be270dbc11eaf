/** Checks the options of the formatter and derives the plan from them. @module */
import { randomUUID } from "node:crypto";
import { encodeUtf8, GiB, MiB } from "../../base/bytes.ts";
import { type ConfigIssue, InvalidConfigError } from "../../base/errors.ts";
import { dotEntries, ENTRIES_BYTES_MAX, entryBytes, NAME_BYTES_MAX } from "./directory_block.ts";
import type { FileSystemPlan } from "./file_system.ts";
import { TIMESTAMP_SECONDS_MAX } from "./inode.ts";
import { planLayout } from "./layout.ts";
import { LABEL_BYTES_MAX } from "./superblock.ts";
import { parseUuid } from "./uuid.ts";

/** Leaves room for data beside a journal of 4 MiB. */
export const EXT4_SIZE_BYTES_MIN = 16 * MiB;
/** The largest whose block numbers fit into 32 bits, which old tools want. Host file systems may allow less. */
export const EXT4_SIZE_BYTES_MAX = 16 * 1024 * GiB;
export const EXT4_SIZE_BYTES_DEFAULT = 4 * GiB;

const DIRECTORY_MODE_DEFAULT = 0o755;
const MODE_MAX = 0o7777;
const LOST_AND_FOUND = "lost+found";
const NIL_UUID = "00000000-0000-0000-0000-000000000000";

/** Options of {@linkcode formatExt4}. */
export interface Ext4Options {
  /** The file to create. It must not exist; its directory must. */
  path: string;
  /**
   * Virtual size: {@linkcode EXT4_SIZE_BYTES_MIN} to {@linkcode EXT4_SIZE_BYTES_MAX}, rounded down to 4 KiB.
   *
   * @default {4_294_967_296}
   */
  sizeBytes?: number | undefined;
  /** Volume label: at most 16 bytes of UTF-8. @default {""} */
  label?: string | undefined;
  /** UUID of the file system, in the usual form with hyphens. @default {random} */
  uuid?: string | undefined;
  /** Empty directories to put into the root. @default {[]} */
  directories?: readonly Ext4Directory[] | undefined;
  /**
   * Seconds since 1970 that every file and the file system bear; at most 15,032,385,535 (the year 2446).
   *
   * @default {0}, so that equal options make equal bytes
   */
  timestampSeconds?: number | undefined;
  /** Aborts between two writes and leaves nothing behind. */
  signal?: AbortSignal | undefined;
}

/** An empty directory in the root, owned by root. */
export interface Ext4Directory {
  /** Its name: at most 255 bytes of UTF-8, no `/`. The names of all directories have to fit into one 4 KiB block. */
  path: string;
  /** Permission bits with setuid, setgid and sticky. @default {0o755} */
  mode?: number | undefined;
}

/** Checks the options. @throws {InvalidConfigError} `invalidConfig`, with all problems */
export function planFileSystem(options: Ext4Options): FileSystemPlan {
  const {
    sizeBytes = EXT4_SIZE_BYTES_DEFAULT,
    label = "",
    uuid = randomUUID(),
    directories = [],
    timestampSeconds = 0,
  } = options;
  const uuidBytes = parseUuid(uuid);
  const issues = [
    ...checkPath(options.path),
    ...checkInteger("sizeBytes", sizeBytes, EXT4_SIZE_BYTES_MIN, EXT4_SIZE_BYTES_MAX),
    ...checkLabel(label),
    ...checkDirectories(directories),
    ...checkInteger("timestampSeconds", timestampSeconds, 0, TIMESTAMP_SECONDS_MAX),
  ];
  if (uuidBytes === undefined || uuid === NIL_UUID) {
    issues.push({ field: "uuid", problem: `must be a UUID other than nil: current value is "${uuid}"` });
  }
  if (issues.length > 0 || uuidBytes === undefined) throw new InvalidConfigError(issues);
  return {
    layout: planLayout(sizeBytes),
    uuid: uuidBytes,
    label: encodeUtf8(label),
    timestampSeconds,
    directories: directories.map(({ path, mode = DIRECTORY_MODE_DEFAULT }) => ({
      name: encodeUtf8(path),
      mode,
    })),
  };
}

function checkPath(path: string): ConfigIssue[] {
  if (path !== "" && !path.includes("\0")) return [];
  return [{ field: "path", problem: "must not be empty or contain NUL" }];
}

function checkInteger(field: string, value: number, min: number, max: number): ConfigIssue[] {
  if (Number.isInteger(value) && value >= min && value <= max) return [];
  return [{ field, problem: `must be an integer between ${min} and ${max}: current value is ${value}` }];
}

function checkLabel(label: string): ConfigIssue[] {
  const problem = textProblem(label, LABEL_BYTES_MAX);
  return problem === undefined ? [] : [{ field: "label", problem }];
}

function checkDirectories(directories: readonly Ext4Directory[]): ConfigIssue[] {
  const taken = new Set([LOST_AND_FOUND]);
  const issues = directories.flatMap(({ path, mode = DIRECTORY_MODE_DEFAULT }, index) => {
    const field = `directories[${index}]`;
    const problem = nameProblem(path, taken);
    taken.add(path);
    const nameIssues = problem === undefined ? [] : [{ field: `${field}.path`, problem }];
    return [...nameIssues, ...checkInteger(`${field}.mode`, mode, 0, MODE_MAX)];
  });
  const names = [...dotEntries(0, 0).map(({ name }) => name), ...[...taken].map(encodeUtf8)];
  const neededBytes = names.reduce((sum, name) => sum + entryBytes(name), 0);
  if (neededBytes > ENTRIES_BYTES_MAX) {
    const problem = `must fit into ${ENTRIES_BYTES_MAX} bytes of entries: current value needs ${neededBytes}`;
    issues.push({ field: "directories", problem });
  }
  return issues;
}

function nameProblem(name: string, taken: ReadonlySet<string>): string | undefined {
  if (name === "" || name === "." || name === "..") return `must be a name: current value is "${name}"`;
  if (name.includes("/")) return `must be one name, without "/": current value is "${name}"`;
  if (taken.has(name)) return `must be a name that is not yet taken: current value is "${name}"`;
  return textProblem(name, NAME_BYTES_MAX);
}

function textProblem(text: string, bytesMax: number): string | undefined {
  if (text.includes("\0") || !text.isWellFormed()) return "must be well-formed text without NUL";
  const { length } = encodeUtf8(text);
  return length > bytesMax
    ? `must be at most ${bytesMax} bytes of UTF-8: current value has ${length}`
    : undefined;
}
