/**
 * Files of a `MemoryFileSystem`.
 *
 * @module
 */
import { FileSystemError } from "../errno.ts";
import type { AttributeChanges, FileType, ProviderAttributes, ProviderStatistics } from "../provider.ts";

const BLOCK_BYTES = 4096;

/** About what a name takes beside its characters. */
const ENTRY_BYTES = 64;

/** What only some kinds of files have. */
export interface NodeDetails {
  /** Of a symbolic link. */
  readonly target?: string;
  /** Of a device. */
  readonly special?: number;
}

/** Limits of a {@linkcode MemoryFileSystem}. */
export interface MemoryFileSystemOptions {
  /** Most bytes that all files hold together; beyond it writes fail with ENOSPC. @default {1073741824} 1 GiB */
  readonly bytesMax?: number | undefined;
  /** Most names of files and directories. @default {100000} */
  readonly filesMax?: number | undefined;
  /** Owner of the files it begins with. @default {0} root */
  readonly uid?: number | undefined;
  /** Group of the files it begins with. @default {0} */
  readonly gid?: number | undefined;
}

/** A file, a directory or a link in memory. */
export interface MemoryNode {
  readonly type: FileType;
  readonly inode: bigint;
  readonly special: number;
  mode: number;
  uid: number;
  gid: number;
  links: number;
  /** How often it is open: it stays, and counts, until the last is closed. */
  opens: number;
  /** Of a file. Longer than `size` once it has grown. */
  content: Uint8Array;
  size: number;
  readonly target: string;
  /** Of a directory. */
  readonly entries: Map<string, MemoryNode>;
  readonly extended: Map<string, Uint8Array>;
  accessedNs: bigint;
  modifiedNs: bigint;
  changedNs: bigint;
}

/** A directory that moves takes the link of its `..` along. */
export function moveLink(node: MemoryNode, from: MemoryNode, to: MemoryNode): void {
  if (node.type !== "directory") return;
  from.links--;
  to.links++;
}

export function attributesOf(node: MemoryNode): ProviderAttributes {
  const { type, mode, size, links, uid, gid, inode, special, accessedNs, modifiedNs, changedNs } = node;
  const allocated = type === "file" ? node.content.length : 0;
  return { type, mode, size, allocated, links, uid, gid, inode, special, accessedNs, modifiedNs, changedNs };
}

export function touch(node: MemoryNode): void {
  node.modifiedNs = now();
  node.changedNs = node.modifiedNs;
}

/** Later than any time before, so that two changes in one millisecond are two. */
export function now(): bigint {
  const wall = BigInt(Date.now()) * 1_000_000n;
  last = wall > last ? wall : last + 1n;
  return last;
}
let last = 0n;

/** What the name of an extended attribute counts, so that empty values are bounded as well. */
export function extendedBytes(name: string): number {
  return 2 * name.length + ENTRY_BYTES;
}

/** All that a file counts. */
export function heldBytes({ content, extended }: MemoryNode): number {
  return [...extended].reduce(
    (sum, [name, value]) => sum + value.length + extendedBytes(name),
    content.length,
  );
}

/** Changes all but the size. */
export function changeAttributes(node: MemoryNode, changes: Omit<AttributeChanges, "size">): void {
  node.mode = changes.mode ?? node.mode;
  node.uid = changes.uid ?? node.uid;
  node.gid = changes.gid ?? node.gid;
  node.accessedNs = changes.accessedNs ?? node.accessedNs;
  node.modifiedNs = changes.modifiedNs ?? node.modifiedNs;
  node.changedNs = now();
}

/** @throws {FileSystemError} if rename(2) does not put the one in the place of the other. */
export function checkReplaceable(replaced: MemoryNode, node: MemoryNode): void {
  if (node.type === "directory" && replaced.type !== "directory") throw new FileSystemError("ENOTDIR");
  if (node.type !== "directory" && replaced.type === "directory") throw new FileSystemError("EISDIR");
  if (replaced.entries.size > 0) throw new FileSystemError("ENOTEMPTY");
}

/** The content of a file with room for more. */
export function enlarged(node: MemoryNode, room: number): Uint8Array {
  const larger = new Uint8Array(room);
  larger.set(node.content.subarray(0, node.size));
  return larger;
}

export function statisticsOf(
  bytesMax: number,
  bytes: number,
  filesMax: number,
  files: number,
): ProviderStatistics {
  const blocks = Math.floor(bytesMax / BLOCK_BYTES);
  const freeBlocks = Math.max(0, Math.floor((bytesMax - bytes) / BLOCK_BYTES));
  const freeFiles = filesMax - files;
  return {
    blockBytes: BLOCK_BYTES,
    blocks,
    freeBlocks,
    availableBlocks: freeBlocks,
    files: filesMax,
    freeFiles,
  };
}

/** The name of a file, and those of the directories above it. @throws {FileSystemError} for a path without a name, or with `..` */
export function namesOf(path: string): { readonly above: readonly string[]; readonly name: string } {
  const above = path.split("/").filter((name) => name !== "" && name !== ".");
  const name = above.pop();
  if (name !== undefined && ![...above, name].includes("..")) return { above, name };
  throw new FileSystemError("EINVAL", {
    cause: new Error(`${JSON.stringify(path)} is not the path of a file`),
  });
}
