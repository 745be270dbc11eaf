/**
 * What is known of a file in a sandbox, as plain data.
 *
 * @module
 */
import { type FileAttributes, FileKind, type FileMessageFields } from "../../agent/file_messages.ts";
import type { Bytes } from "../../base/bytes.ts";
import { baseName, joinPath, pathText } from "./path.ts";

/** The kind of a file, as the known SDK has it: all that is neither file, directory nor symbolic link is `"other"`. */
export type FsEntryKind = "file" | "directory" | "symlink" | "other";

/** The kind of a file, exactly. `"unknown"` is one that this release does not know. */
export type FsFileType =
  | "file"
  | "directory"
  | "symlink"
  | "fifo"
  | "socket"
  | "characterDevice"
  | "blockDevice"
  | "unknown";

/** What is known of a file. */
export interface FsMetadata {
  /** Its kind: see {@linkcode FsEntryKind}. */
  readonly kind: FsEntryKind;
  /** Its exact kind. */
  readonly type: FsFileType;
  /** Its size in bytes, at most `Number.MAX_SAFE_INTEGER`. */
  readonly size: number;
  /** Bytes that it takes on the disk: fewer than its size if it has holes. */
  readonly allocated: number;
  /** Permission bits, with the set-id bits and the sticky bit: 0 to `0o7777`. */
  readonly mode: number;
  /** Whether its mode lets no user write. */
  readonly readonly: boolean;
  /** Number of its user. */
  readonly uid: number;
  /** Number of its group. */
  readonly gid: number;
  /** How many names it has. */
  readonly links: number;
  /** Number of its file system. */
  readonly device: bigint;
  /** Its number in that file system: names of the same file have the same. */
  readonly inode: bigint;
  /** The device that it stands for, if it is a device; otherwise 0. */
  readonly special: bigint;
  /** When its content changed last. */
  readonly modified: Date | null;
  /** When it was made; `null` where its file system does not know. */
  readonly created: Date | null;
  /** When it was read last, as far as its file system keeps that. */
  readonly accessed: Date | null;
  /** When its content or what is known of it changed last. */
  readonly changed: Date | null;
  /** {@linkcode modified}, exactly: nanoseconds since 1970. */
  readonly modifiedNs: bigint;
  /** {@linkcode created}, exactly. */
  readonly createdNs: bigint | null;
  /** {@linkcode accessed}, exactly. */
  readonly accessedNs: bigint;
  /** {@linkcode changed}, exactly. */
  readonly changedNs: bigint;
}

/** An entry of a directory. */
export interface FsEntry extends FsMetadata {
  /** Its path: that of the directory as it was given, a slash, and its name. */
  readonly path: string;
  /** Its path as bytes: use this for one that is not UTF-8. */
  readonly pathBytes: Bytes;
  /** Its name as text; what is not UTF-8 in it is U+FFFD. */
  readonly name: string;
  /** Its name, exactly. */
  readonly nameBytes: Bytes;
  /** Where it leads, if it is a symbolic link, as text. */
  readonly target: string | null;
  /** Where it leads, exactly. */
  readonly targetBytes: Bytes | null;
}

/** Says that a time is not known. */
const UNKNOWN_NS = -(2n ** 63n);
const NS_PER_MS = 1_000_000n;

const TYPES: ReadonlyMap<number, FsFileType> = new Map(
  Object.entries(FileKind satisfies Record<Exclude<FsFileType, "unknown">, number>).map(([type, number]) => [
    number,
    type as FsFileType,
  ]),
);

/** What the guest said, for users. */
export function metadataOf(attributes: FileAttributes): FsMetadata {
  const type = TYPES.get(attributes.kind) ?? "unknown";
  const { size, allocated, mode, uid, gid, links, device, inode, special } = attributes;
  const { modifiedNs, accessedNs, changedNs } = attributes;
  const createdNs = attributes.createdNs === UNKNOWN_NS ? null : attributes.createdNs;
  return {
    kind: type === "file" || type === "directory" || type === "symlink" ? type : "other",
    type,
    size,
    allocated,
    mode,
    readonly: (mode & 0o222) === 0,
    uid,
    gid,
    links,
    device,
    inode,
    special,
    modified: dateOf(modifiedNs),
    created: createdNs === null ? null : dateOf(createdNs),
    accessed: dateOf(accessedNs),
    changed: dateOf(changedNs),
    modifiedNs,
    createdNs,
    accessedNs,
    changedNs,
  };
}

/** An entry below `directory`. Copies what is only a view. */
export function entryOf(directory: Uint8Array, entry: FileMessageFields<"entry">): FsEntry {
  const pathBytes = joinPath(directory, entry.path);
  const nameBytes = baseName(pathBytes).slice();
  const metadata = metadataOf(entry);
  const targetBytes = metadata.kind === "symlink" ? entry.target.slice() : null;
  return {
    path: pathText(pathBytes),
    name: pathText(nameBytes),
    ...metadata,
    target: targetBytes === null ? null : pathText(targetBytes),
    pathBytes,
    nameBytes,
    targetBytes,
  };
}

function dateOf(nanoseconds: bigint): Date {
  const rest = nanoseconds % NS_PER_MS;
  return new Date(Number(nanoseconds / NS_PER_MS) - (rest < 0n ? 1 : 0));
}
