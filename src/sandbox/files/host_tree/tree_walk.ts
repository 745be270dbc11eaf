/**
 * Walks a tree of the host: each directory before what is in it, files opened and ready to be read. No symbolic link is
 * followed unless it is asked for, also none that takes a file's place while the walk is on its way there.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type BigIntStats, closeSync, constants, fstatSync, openSync, statSync } from "node:fs";
import { resolve } from "node:path";
import { errnoOf } from "../../../base/errors.ts";
import { type EntryName, entryNameOf, isPerhapsReplaced } from "../../../platform/path_at.ts";
import { FileCopyRefusedError } from "../copy_errors.ts";
import type { SkipReason } from "../copy_result.ts";
import { HostDirectory } from "./host_directory.ts";

/** Directories within each other: each is held open. A tree of links to directories ends here. */
const DEPTH_MAX = 500;

export interface WalkOptions {
  readonly followLinks: boolean;
  /** Whether to walk on to this path. */
  readonly filter?: ((path: string) => boolean) | undefined;
}

/** What the walk comes to. Paths are relative to the top, whose own is empty. */
export type HostEntry =
  | { readonly kind: "directory"; readonly path: Buffer; readonly status: BigIntStats }
  /** All that is in the directory was told. */
  | { readonly kind: "leave"; readonly path: Buffer; readonly status: BigIntStats }
  /** `descriptor` is open until the walk goes on. */
  | {
      readonly kind: "file";
      readonly path: Buffer;
      readonly status: BigIntStats;
      readonly descriptor: number;
    }
  | {
      readonly kind: "symlink";
      readonly path: Buffer;
      readonly status: BigIntStats;
      readonly target: Uint8Array;
    }
  | { readonly kind: "skipped"; readonly path: Buffer; readonly reason: SkipReason };

/** Walks what is at `path`, which may be a link to it. */
export function* walkHostTree(path: string, options: WalkOptions): Generator<HostEntry, void, void> {
  const top = resolve(path);
  const status = statSync(top, { bigint: true });
  if (status.isDirectory()) {
    using directory = HostDirectory.open(top);
    yield* walkDirectory(directory, Buffer.alloc(0), options, []);
  } else {
    const special = specialKind(status);
    if (special !== undefined) throw new FileCopyRefusedError(`${top} is a ${special}`);
    const descriptor = openSync(top, constants.O_RDONLY | constants.O_NONBLOCK);
    yield* tellFile(descriptor, Buffer.alloc(0));
  }
}

function* walkDirectory(
  directory: HostDirectory,
  path: Buffer,
  options: WalkOptions,
  above: readonly BigIntStats[],
): Generator<HostEntry, void, void> {
  const status = directory.ownStatus;
  if (above.length >= DEPTH_MAX)
    throw new FileCopyRefusedError(`${directory.path} is nested deeper than ${DEPTH_MAX} directories`);
  if (above.some(({ dev, ino }) => dev === status.dev && ino === status.ino))
    return yield { kind: "skipped", path, reason: "loop" };
  yield { kind: "directory", path, status };
  const aboveNext = [...above, status];
  for (const { bytes, isFile } of directory.entries()) {
    const below = Buffer.concat(path.length === 0 ? [bytes] : [path, Buffer.from("/"), bytes]);
    if (options.filter !== undefined && !options.filter(below.toString())) continue;
    const name = entryNameOf(bytes);
    if (name === undefined) yield { kind: "skipped", path: below, reason: "name" };
    else yield* walkEntry(directory, { name, isFile }, below, options, aboveNext);
  }
  yield { kind: "leave", path, status };
}

function* walkEntry(
  directory: HostDirectory,
  { name, isFile }: { readonly name: EntryName; readonly isFile: boolean },
  path: Buffer,
  options: WalkOptions,
  above: readonly BigIntStats[],
): Generator<HostEntry, void, void> {
  let found: Found;
  try {
    found = isFile
      ? { kind: "file", descriptor: directory.openFile(name) }
      : find(directory, name, options.followLinks);
  } catch (error) {
    const reason = skipReason(error, Buffer.from(name));
    if (reason === undefined) throw error;
    return yield { kind: "skipped", path, reason };
  }
  switch (found.kind) {
    case "directory": {
      using inner = found.directory;
      return yield* walkDirectory(inner, path, options, above);
    }
    case "file":
      return yield* tellFile(found.descriptor, path);
    default:
      yield { ...found, path };
  }
}

type Found =
  | { readonly kind: "directory"; readonly directory: HostDirectory }
  | { readonly kind: "file"; readonly descriptor: number }
  | { readonly kind: "symlink"; readonly status: BigIntStats; readonly target: Uint8Array }
  | { readonly kind: "skipped"; readonly reason: SkipReason };

/** Opens what has the name. What it was a moment ago decides how; what is open then is what counts. */
function find(directory: HostDirectory, name: EntryName, followLinks: boolean): Found {
  const status = directory.status(name);
  if (status.isSymbolicLink() && !followLinks)
    return { kind: "symlink", status, target: directory.readSymlink(name) };
  const followed = status.isSymbolicLink() ? directory.followedStatus(name) : status;
  const follow = { follow: status.isSymbolicLink() };
  if (followed.isDirectory()) return { kind: "directory", directory: directory.openDirectory(name, follow) };
  const special = specialKind(followed);
  if (special !== undefined) return { kind: "skipped", reason: special };
  return { kind: "file", descriptor: directory.openFile(name, follow) };
}

function* tellFile(descriptor: number, path: Buffer): Generator<HostEntry, void, void> {
  try {
    const status = fstatSync(descriptor, { bigint: true });
    if (status.isFile()) yield { kind: "file", path, status, descriptor };
    else yield { kind: "skipped", path, reason: specialKind(status) ?? "vanished" };
  } finally {
    closeSync(descriptor);
  }
}

function specialKind(status: BigIntStats): SkipReason | undefined {
  if (status.isFIFO()) return "fifo";
  if (status.isSocket()) return "socket";
  if (status.isBlockDevice() || status.isCharacterDevice()) return "device";
  return undefined;
}

/** What an error says of one entry; `undefined` if it says more than that. */
function skipReason(error: unknown, name: Uint8Array): SkipReason | undefined {
  switch (errnoOf(error)) {
    case "ENOENT":
      return isPerhapsReplaced(name) ? "name" : "vanished";
    case "ELOOP": // links lead to each other, or something else has taken its place, as in the next ones
    case "ENOTDIR":
    case "EINVAL":
    case "ENXIO":
      return "vanished";
    case "EACCES":
    case "EPERM":
      return "unreadable";
    default:
      return undefined;
  }
}
