/**
 * Keeps metadata and places of files in columns, for files whose data is already in an image. As objects, the files of
 * a large image would take most of the conversion's memory, and garbage collectors let such a heap grow to twice its
 * content.
 *
 * @module
 */

import { type ChunkMap, type Storage, StoredFile } from "../erofs/stored_file.ts";
import type { TailSlot } from "../erofs/tail_arena.ts";
import { type ByteString, type FileNode, NO_XATTRS, type TreeNode } from "./tree.ts";
import { Column } from "./typed_columns.ts";

const NO_TAIL = -1;

/** Row of a file. */
export type FileRow = number;

export class PackedFiles {
  readonly modes = new Column(Uint16Array);
  readonly uids = new Column(Uint32Array);
  readonly gids = new Column(Uint32Array);
  readonly mtimeSeconds = new Column(Float64Array);
  readonly mtimeNanoseconds = new Column(Uint32Array);
  readonly sizes = new Column(Float64Array);
  /** Lets a walk through the tree note the row that it gave to each file. */
  readonly marks = new Column(Uint32Array);
  readonly firstBlocks = new Column(Uint32Array);
  readonly #tails = new Column(Int32Array);
  readonly #chunks = new Map<FileRow, ChunkMap>();
  readonly #xattrs = new Map<FileRow, FileNode["xattrs"]>();
  #storage: Storage | undefined;

  /** Where the files' image is written; `undefined` while there are no files. */
  get storage(): Storage | undefined {
    return this.#storage;
  }

  /** Returns whether a file with this content can be kept here. All files must belong to the same image. */
  canHold(content: FileNode["content"]): content is StoredFile {
    if (!(content instanceof StoredFile)) return false;
    this.#storage ??= content.storage;
    return content.storage === this.#storage;
  }

  add(node: FileNode, content: StoredFile): FileRow {
    this.uids.push(node.uid);
    this.gids.push(node.gid);
    this.mtimeSeconds.push(node.mtimeSeconds);
    this.mtimeNanoseconds.push(node.mtimeNanoseconds);
    this.sizes.push(content.sizeBytes);
    this.marks.push(0);
    this.firstBlocks.push(content.firstBlock);
    this.#tails.push(content.tail ?? NO_TAIL);
    const row = this.modes.push(node.mode);
    if (content.chunks !== undefined) this.#chunks.set(row, content.chunks);
    if (node.xattrs.size > 0) this.#xattrs.set(row, node.xattrs);
    return row;
  }

  xattrsOf(row: FileRow): ReadonlyMap<ByteString, Uint8Array> {
    return this.#xattrs.get(row) ?? NO_XATTRS;
  }

  /** See {@linkcode StoredFile.tail}. */
  tailOf(row: FileRow): TailSlot | undefined {
    const tail = this.#tails.at(row);
    return tail === NO_TAIL ? undefined : tail;
  }

  /** See {@linkcode StoredFile.chunks}. */
  chunksOf(row: FileRow): ChunkMap | undefined {
    return this.#chunks.get(row);
  }

  contentOf(row: FileRow): StoredFile {
    const [sizeBytes, firstBlock] = [this.sizes.at(row), this.firstBlocks.at(row)];
    return new StoredFile(this.#storage!, sizeBytes, firstBlock, this.tailOf(row), this.#chunks.get(row));
  }
}

/**
 * A node for a row, created on request. Two nodes may stand for the same row, so compare them with {@linkcode
 * isSameNode}.
 */
export class PackedFile implements FileNode {
  readonly files: PackedFiles;
  readonly row: FileRow;

  constructor(files: PackedFiles, row: FileRow) {
    this.files = files;
    this.row = row;
  }

  get kind(): "file" {
    return "file";
  }

  get mode(): number {
    return this.files.modes.at(this.row);
  }

  get uid(): number {
    return this.files.uids.at(this.row);
  }

  get gid(): number {
    return this.files.gids.at(this.row);
  }

  get mtimeSeconds(): number {
    return this.files.mtimeSeconds.at(this.row);
  }

  get mtimeNanoseconds(): number {
    return this.files.mtimeNanoseconds.at(this.row);
  }

  get xattrs(): ReadonlyMap<ByteString, Uint8Array> {
    return this.files.xattrsOf(this.row);
  }

  get content(): StoredFile {
    return this.files.contentOf(this.row);
  }
}

/** Returns whether two nodes are the same inode. */
export function isSameNode(a: TreeNode, b: TreeNode): boolean {
  if (a === b) return true;
  return a instanceof PackedFile && b instanceof PackedFile && a.files === b.files && a.row === b.row;
}
