/** Options of copying between this machine and a sandbox. @module */
import { z } from "zod";
import { GiB } from "../../base/bytes.ts";
import { withoutUndefined } from "../../base/defined.ts";
import { parseConfig } from "../../base/parse_config.ts";
import type { FileCopyProgress } from "./copy_result.ts";

/** What `copyFromHost()` and `copyToHost()` have in common. */
export interface FileCopyOptions {
  /** Whether to copy this, by its path below the top, e.g. `"src/main.ts"`. A directory is left out with all that is in it. @default everything */
  readonly filter?: ((path: string) => boolean) | undefined;
  /** Called often while files are copied. */
  readonly onProgress?: ((progress: FileCopyProgress) => void) | undefined;
  /** Ends the copy: it rejects with `AbortedError`. */
  readonly signal?: AbortSignal | undefined;
  /** Leaves out what cannot be read, and tells so in the result, instead of failing. @default {false} */
  readonly skipUnreadable?: boolean | undefined;
  /** The user in the sandbox who reads or writes there: name, uid, `name:group` or `uid:gid`. @default the sandbox's user */
  readonly user?: string | undefined;
}

/** Options of `copyFromHost()`. */
export interface CopyFromHostOptions extends FileCopyOptions {
  /** Copies what symbolic links lead to instead of the links. The path that you name is always followed. @default {false} */
  readonly followLinks?: boolean | undefined;
}

/** Options of `copyToHost()`. Its limits are for a sandbox that sends more than you expect. */
export interface CopyToHostOptions extends FileCopyOptions {
  /** Most bytes of content in all. @default {17_179_869_184} (16 GiB) */
  readonly bytesMax?: number | undefined;
  /** Most files, directories and links in all. @default {1_000_000} */
  readonly entriesMax?: number | undefined;
  /** Most directories within each other, the top included; each needs an open file. 1 to 1,000. @default {128} */
  readonly depthMax?: number | undefined;
  /** Largest file, in bytes, holes included. @default {1_099_511_627_776} (1 TiB) */
  readonly fileBytesMax?: number | undefined;
}

/** {@linkcode CopyFromHostOptions} after checking. */
export interface CopyFromHostConfig extends FileCopyOptions {
  readonly followLinks: boolean;
  readonly skipUnreadable: boolean;
}

/** {@linkcode CopyToHostOptions} after checking. */
export interface CopyToHostConfig extends FileCopyOptions {
  readonly bytesMax: number;
  readonly entriesMax: number;
  readonly depthMax: number;
  readonly fileBytesMax: number;
  readonly skipUnreadable: boolean;
}

const BYTES_MAX = 16 * GiB;
const FILE_BYTES_MAX = 1024 * GiB;
const ENTRIES_MAX = 1_000_000;
const DEPTH_MAX = 128;
const DEPTH_LIMIT = 1000;

const callback = <T>() => z.custom<T>((value) => typeof value === "function", "must be a function");
const count = () => z.int().min(0);

const COMMON = {
  filter: callback<(path: string) => boolean>().optional(),
  onProgress: callback<(progress: FileCopyProgress) => void>().optional(),
  signal: z.instanceof(AbortSignal, { error: "must be an AbortSignal" }).optional(),
  skipUnreadable: z.boolean().default(false),
  user: z.string().min(1).optional(),
};
const FROM_HOST = z.strictObject({ ...COMMON, followLinks: z.boolean().default(false) });
const TO_HOST = z.strictObject({
  ...COMMON,
  bytesMax: count().default(BYTES_MAX),
  entriesMax: count().default(ENTRIES_MAX),
  depthMax: z.int().min(1).max(DEPTH_LIMIT).default(DEPTH_MAX),
  fileBytesMax: count().default(FILE_BYTES_MAX),
});

/** @throws {InvalidConfigError} */
export function parseCopyFromHost(options: CopyFromHostOptions): CopyFromHostConfig {
  return parseConfig(FROM_HOST, withoutUndefined(options), "options");
}

/** @throws {InvalidConfigError} */
export function parseCopyToHost(options: CopyToHostOptions): CopyToHostConfig {
  return parseConfig(TO_HOST, withoutUndefined(options), "options");
}
