/**
 * Options of file calls, and their checks.
 *
 * @module
 */
import { z } from "zod";
import { MiB } from "../../base/bytes.ts";
import { withoutUndefined } from "../../base/defined.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { noNul } from "../../options/env.ts";
import type { FsPath } from "./path.ts";

/** What `read()` takes into memory unless it is told otherwise. */
export const READ_BYTES_MAX: number = 256 * MiB;
/** How many entries `list()` takes into memory unless it is told otherwise. */
export const LIST_ENTRIES_MAX = 250_000;
/** Deeper trees than that are not walked by the guest's agent anyway. */
const DEPTH_MAX = 0xffff_ffff;
const MODE_MAX = 0o7777;
const ID_MAX = 0xffff_fffe;

/** Options of every file call. */
export interface FsOptions {
  /** As whom: `name`, `uid`, `name:group` or `uid:gid`. @default the sandbox's user, else the image's, else root */
  readonly user?: string | undefined;
  /** Ends the call when it fires, which rejects with `AbortedError`; what the guest was doing is killed. */
  readonly signal?: AbortSignal | undefined;
}

/** A part of a file. */
export interface FsRange {
  /** Where to begin, in bytes. @default {0} */
  readonly offset?: number | undefined;
  /** How many bytes, at most. @default all to the end */
  readonly length?: number | undefined;
}

/** Options of `read()` and `readToString()`. */
export interface FsReadOptions extends FsOptions, FsRange {
  /** More than that are not taken into memory: `FileLimitError`. @default {268_435_456} */
  readonly bytesMax?: number | undefined;
}

/** Options of `readStream()`. */
export interface FsReadStreamOptions extends FsOptions, FsRange {}

/** Options of `write()` and `writeStream()`. */
export interface FsWriteOptions extends FsOptions {
  /** Permission bits that the file is to have, also if it is there already. @default `0o666` less the umask, if it is new */
  readonly mode?: number | undefined;
  /** Whether to make the directories above it that are missing. @default {true} */
  readonly createParents?: boolean | undefined;
  /** Whether to make the file if it is not there. @default {true} */
  readonly create?: boolean | undefined;
  /** Whether to refuse if it is there already (`FileExistsError`). @default {false} */
  readonly exclusive?: boolean | undefined;
  /** Whether to write behind what it holds. @default {false} */
  readonly append?: boolean | undefined;
  /** Where to write, in bytes; the rest of the file stays as it is. @default the file is replaced as a whole */
  readonly offset?: number | undefined;
  /**
   * Whether to write to a new file beside it, and to rename that into place once it is complete: readers see the old content
   * or the new one, never a part, whatever happens in between. @default {false}
   */
  readonly atomic?: boolean | undefined;
  /** Whether to resolve only once it is on the sandbox's disk. @default {false} */
  readonly sync?: boolean | undefined;
}

/** Options of `list()`. */
export interface FsListOptions extends FsOptions {
  /** More than that are not taken into memory: `FileLimitError`. @default {250_000} */
  readonly entriesMax?: number | undefined;
}

/** Options of `walk()`. */
export interface FsWalkOptions extends FsOptions {
  /** How far below the root to go: 1 gives what lies in it. @default all of the tree */
  readonly depthMax?: number | undefined;
  /** Whether a root that is a symbolic link is followed. Links below it never are. @default {true} */
  readonly followRoot?: boolean | undefined;
}

/** Options of `mkdir()`. */
export interface FsMkdirOptions extends FsOptions {
  /** Permission bits that the new directory is to have. @default `0o777` less the umask */
  readonly mode?: number | undefined;
  /**
   * Whether to make those above it that are missing; then it is no error either if the directory itself is there already.
   * @default {true}
   */
  readonly createParents?: boolean | undefined;
}

/** Options of `remove()`. */
export interface FsRemoveOptions extends FsOptions {
  /** Whether it is no error if nothing is there. @default {false} */
  readonly force?: boolean | undefined;
}

/** Options of `removeDir()`. */
export interface FsRemoveDirOptions extends FsRemoveOptions {
  /** Whether to remove what is in it, too. @default {false} */
  readonly recursive?: boolean | undefined;
}

/** Options of `rename()`. */
export interface FsRenameOptions extends FsOptions {
  /** Whether to refuse if the new name is taken (`FileExistsError`). @default {false} */
  readonly exclusive?: boolean | undefined;
  /** Whether to make the directories above the new name that are missing. @default {false} */
  readonly createParents?: boolean | undefined;
}

/** Options of `copy()`. */
export interface FsCopyOptions extends FsRenameOptions {
  /** Whether to copy a directory with all that is in it. @default {false} */
  readonly recursive?: boolean | undefined;
}

/** Options of `link()` and `symlink()`. */
export interface FsLinkOptions extends FsOptions {
  /** Whether to replace what has that name, unless it is a directory. @default {false} */
  readonly replace?: boolean | undefined;
  /** Whether to make the directories above it that are missing. @default {false} */
  readonly createParents?: boolean | undefined;
}

/** Options of calls that change what is known of a file. */
export interface FsFollowOptions extends FsOptions {
  /** Whether a symbolic link stands for what it leads to. @default {true} */
  readonly follow?: boolean | undefined;
}

/** Options of `makeTemp()`. */
export interface FsMakeTempOptions extends FsOptions {
  /** What to make. @default {"file"} */
  readonly kind?: "file" | "directory" | undefined;
  /** Where. @default {"/tmp"} */
  readonly directory?: FsPath | undefined;
  /** How its name begins. @default {""} */
  readonly prefix?: string | undefined;
  /** How its name ends. @default {""} */
  readonly suffix?: string | undefined;
}

/** Options of `watch()`. */
export interface FsWatchOptions extends FsOptions {
  /** Whether to watch all that is below it, too. @default {false} */
  readonly recursive?: boolean | undefined;
}

/** What `access()` asks for. */
export interface FsAccessOptions extends FsOptions {
  /** Whether it may be read; a directory: listed. @default {false} */
  readonly read?: boolean | undefined;
  /** Whether it may be written; a directory: changed. @default {false} */
  readonly write?: boolean | undefined;
  /** Whether it may be run; a directory: passed through. @default {false} */
  readonly execute?: boolean | undefined;
}

/** Whom a file is to belong to: numbers, or names as the guest's `/etc/passwd` and `/etc/group` have them. */
export type FsOwner =
  | string
  | {
      /** Number of the user. @default unchanged */
      readonly uid?: number | undefined;
      /** Number of the group. @default unchanged */
      readonly gid?: number | undefined;
    };

/** A point in time: a date, milliseconds since 1970, or nanoseconds since 1970 as a bigint. */
export type FsTime = Date | number | bigint;

/** What `utimes()` sets. */
export interface FsTimes {
  /** When it was read last. @default unchanged */
  readonly accessed?: FsTime | undefined;
  /** When its content changed last. @default unchanged */
  readonly modified?: FsTime | undefined;
}

const flag = z.boolean().optional();
const bytes = z.int().min(0).optional();
const mode = z.int().min(0).max(MODE_MAX);
const shared = { user: noNul.min(1).optional(), signal: z.instanceof(AbortSignal).optional() };
const range = { offset: bytes, length: bytes };
const path = z.custom<FsPath>(
  (value) => typeof value === "string" || value instanceof Uint8Array,
  "must be a string or a Uint8Array",
);
const part = z.string().max(200);

const SCHEMAS = {
  plain: z.strictObject(shared),
  path: z.strictObject({ ...shared, asBytes: z.boolean().optional() }),
  read: z.strictObject({ ...shared, ...range, bytesMax: bytes }),
  readStream: z.strictObject({ ...shared, ...range }),
  write: z.strictObject({
    ...shared,
    mode: mode.optional(),
    createParents: flag,
    create: flag,
    exclusive: flag,
    append: flag,
    offset: bytes,
    atomic: flag,
    sync: flag,
  }),
  list: z.strictObject({ ...shared, entriesMax: z.int().min(1).optional() }),
  walk: z.strictObject({ ...shared, depthMax: z.int().min(1).max(DEPTH_MAX).optional(), followRoot: flag }),
  mkdir: z.strictObject({ ...shared, mode: mode.optional(), createParents: flag }),
  remove: z.strictObject({ ...shared, force: flag }),
  removeDir: z.strictObject({ ...shared, force: flag, recursive: flag }),
  rename: z.strictObject({ ...shared, exclusive: flag, createParents: flag }),
  copy: z.strictObject({ ...shared, exclusive: flag, createParents: flag, recursive: flag }),
  link: z.strictObject({ ...shared, replace: flag, createParents: flag }),
  follow: z.strictObject({ ...shared, follow: flag }),
  makeTemp: z.strictObject({
    ...shared,
    kind: z.enum(["file", "directory"]).optional(),
    directory: path.optional(),
    prefix: part.optional(),
    suffix: part.optional(),
  }),
  watch: z.strictObject({ ...shared, recursive: flag }),
  access: z.strictObject({ ...shared, read: flag, write: flag, execute: flag }),
} as const;

type SchemaName = keyof typeof SCHEMAS;

/** Checks the options of a call. @throws {InvalidConfigError} naming every field that is wrong. */
export function checkOptions<N extends SchemaName>(
  name: N,
  options: object | undefined,
): z.output<(typeof SCHEMAS)[N]> {
  const given = options === undefined ? {} : withoutUndefined(options);
  // The compiler does not see that the schema of a name gives the output of that name.
  return parseConfig<z.ZodType>(SCHEMAS[name], given, "options") as z.output<(typeof SCHEMAS)[N]>;
}

/** Permission bits. @throws {InvalidConfigError} */
export function checkMode(value: number): number {
  return parseConfig(z.strictObject({ mode }), { mode: value }, "arguments").mode;
}

/** A size in bytes. @throws {InvalidConfigError} */
export function checkSize(value: number): number {
  return parseConfig(z.strictObject({ size: z.int().min(0) }), { size: value }, "arguments").size;
}

const id = z.int().min(0).max(ID_MAX).optional();
const ownerSchema = z.strictObject({
  owner: z.union([z.string().min(1).max(255), z.strictObject({ uid: id, gid: id })]),
});

/** An owner by number or by name. @throws {InvalidConfigError} */
export function checkOwner(owner: FsOwner): FsOwner {
  return parseConfig(ownerSchema, { owner }, "arguments").owner;
}

const NS_PER_MS = 1_000_000;
const NS_MIN = -(2n ** 63n);
const NS_MAX = 2n ** 63n - 1n;

/** Nanoseconds since 1970; `undefined` for no time. @throws {InvalidConfigError} if it is no time, or out of range. */
export function checkTime(time: FsTime | undefined, field: string): bigint | undefined {
  if (time === undefined) return undefined;
  const ns = nanoseconds(time);
  if (ns !== undefined && ns > NS_MIN && ns <= NS_MAX) return ns;
  const problem = `must be a valid Date, milliseconds, or nanoseconds as a bigint, from 1677 to 2262: current value is ${String(time)}`;
  throw new InvalidConfigError([{ field, problem }]);
}

function nanoseconds(time: unknown): bigint | undefined {
  if (typeof time === "bigint") return time;
  const ms = time instanceof Date ? time.getTime() : time;
  if (typeof ms !== "number" || !Number.isFinite(ms)) return undefined;
  const whole = Math.floor(ms);
  return BigInt(whole) * BigInt(NS_PER_MS) + BigInt(Math.round((ms - whole) * NS_PER_MS));
}
