/**
 * Converts a tree to a table of inodes: every node once, however many names it has, in the sequence that it will have
 * on disk, checked against the limits of the format.
 *
 * An inode is a row in columns of numbers. An object each would take as much memory as the tree itself.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { InternalError } from "../../base/errors.ts";
import { TreeInvalidError } from "../errors.ts";
import type { Pace } from "../stream/yielding.ts";
import { type FileRow, isSameNode, PackedFile, type PackedFiles } from "../tree/packed_files.ts";
import type { ByteString, DirectoryNode, FileContent, TreeNode } from "../tree/tree.ts";
import { Column } from "../tree/typed_columns.ts";
import { type DirectoryPlan, planDirectory, sortNames } from "./directory_blocks.ts";
import type { InodeRow } from "./inode_row.ts";
import { findNameProblem, findNodeProblem } from "./node_limits.ts";
import { type ChunkMap, type Storage, StoredFile } from "./stored_file.ts";
import type { TailSlot } from "./tail_arena.ts";
import type { PlannedXattrs } from "./xattrs.ts";

/** Most inodes of an image: the format's own number for them has 32 bits. */
const INODES_MAX = 0xffff_fffe;

export class InodeTable {
  /** Of each directory. */
  readonly directories = new Map<InodeRow, DirectoryPlan>();
  /** Of the inodes that have some. */
  readonly xattrs = new Map<InodeRow, PlannedXattrs>();
  /** Data of files that were not yet in the image when the table was made. */
  readonly stored = new Map<InodeRow, StoredFile>();

  // What the layout fills in, step by step:
  /** How the data is stored: one of the `LAYOUT_` numbers. */
  layouts = new Uint8Array(0);
  /** First block of the data, chunk format or device number. */
  locations = new Uint32Array(0);
  /** Size of the attributes behind the inode. */
  xattrBytes = new Uint32Array(0);
  /** Size of what stands behind the inode and its attributes: the data's end, or the chunk map. */
  trailingBytes = new Uint32Array(0);
  /** Not 32 bits wide: an image may have more slots than inodes. */
  slots = new Float64Array(0);
  readonly #nodes = new NodeList();
  /** The directory of the node's first name; the root is its own. */
  readonly #parents = new Column(Uint32Array);
  readonly #linkCounts = new Column(Uint32Array);
  /** Rows of all directories' entries, one directory after the other, each sorted by name. */
  readonly #children = new Column(Uint32Array);
  /** Where a directory's rows begin among the children. */
  readonly #childrenStarts = new Map<InodeRow, number>();

  /**
   * Creates the table of a tree, level by level and sorted by name within a level. The same tree always gives the same
   * table.
   *
   * @throws {TreeInvalidError | AbortedError}
   */
  static async of(root: DirectoryNode, pace: Pace): Promise<InodeTable> {
    const table = new InodeTable();
    table.#add(root, 0);
    // The list grows while it is walked.
    for (let row = 0; row < table.count; row++) {
      const node = table.node(row);
      if (node.kind === "directory") await table.#addEntries(row, node, pace);
    }
    table.layouts = new Uint8Array(table.count);
    table.locations = new Uint32Array(table.count);
    table.xattrBytes = new Uint32Array(table.count);
    table.trailingBytes = new Uint32Array(table.count);
    table.slots = new Float64Array(table.count);
    return table;
  }

  private constructor() {}

  get count(): number {
    return this.#nodes.count;
  }

  node(row: InodeRow): TreeNode {
    return this.#nodes.at(row);
  }

  kind(row: InodeRow): TreeNode["kind"] {
    return this.#nodes.kind(row);
  }

  /** The row of a directory's entry whose name is at `index` among the sorted names, `"."` and `".."` included. */
  child(row: InodeRow, index: number): InodeRow {
    return this.#children.at(this.#childrenStarts.get(row)! + index);
  }

  linkCount(row: InodeRow): number {
    return this.#linkCounts.at(row);
  }

  xattrsOf(row: InodeRow): TreeNode["xattrs"] {
    return this.#nodes.xattrsOf(row);
  }

  sizeBytes(row: InodeRow): number {
    const fileRow = this.#nodes.fileRow(row);
    if (fileRow !== undefined) return this.#nodes.files.sizes.at(fileRow);
    const node = this.node(row);
    if (node.kind === "symlink") return node.target.length;
    if (node.kind === "file") return node.content.sizeBytes;
    return this.directories.get(row)?.sizeBytes ?? 0;
  }

  /** Whether the data of the file in this row is in the image that is made there. */
  isStoredIn(row: InodeRow, storage: Storage): boolean {
    if (this.#nodes.fileRow(row) !== undefined) return this.#nodes.files.storage === storage;
    const content = this.content(row);
    return content instanceof StoredFile && content.storage === storage;
  }

  /** The content of the file in this row, which may not be in the image yet. */
  content(row: InodeRow): FileContent {
    const node = this.node(row);
    assert(node.kind === "file", "the node is a file");
    return this.stored.get(row) ?? node.content;
  }

  // Where the data of the file in this row is, as of StoredFile. For a packed file, without making one.

  firstBlock(row: InodeRow): number {
    const fileRow = this.#nodes.fileRow(row);
    return fileRow === undefined
      ? this.#storedFile(row).firstBlock
      : this.#nodes.files.firstBlocks.at(fileRow);
  }

  tail(row: InodeRow): TailSlot | undefined {
    const fileRow = this.#nodes.fileRow(row);
    return fileRow === undefined ? this.#storedFile(row).tail : this.#nodes.files.tailOf(fileRow);
  }

  chunks(row: InodeRow): ChunkMap | undefined {
    const fileRow = this.#nodes.fileRow(row);
    return fileRow === undefined ? this.#storedFile(row).chunks : this.#nodes.files.chunksOf(fileRow);
  }

  #storedFile(row: InodeRow): StoredFile {
    const stored = this.content(row);
    assert(stored instanceof StoredFile, "the file's data is in the image");
    return stored;
  }

  /** Returns one of the node's paths, for errors. */
  pathOf(row: InodeRow): ByteString {
    if (row === 0) return "/";
    const parent = this.#parents.at(row);
    const directory = this.node(parent);
    assert(directory.kind === "directory", "a parent is a directory");
    for (const [name, node] of directory.entries) {
      if (isSameNode(node, this.node(row))) return joinPath(this.pathOf(parent), name);
    }
    throw new InternalError("a node is not in its parent");
  }

  #add(node: TreeNode, parent: InodeRow): void {
    const row = this.#nodes.add(node);
    this.#parents.push(parent);
    this.#linkCounts.push(node.kind === "directory" ? 2 : 1);
    const problem = findNodeProblem(node);
    if (problem !== undefined) throw new TreeInvalidError(this.pathOf(row), problem);
    if (this.count > INODES_MAX)
      throw new TreeInvalidError("/", `the tree has more than ${INODES_MAX} inodes`);
  }

  async #addEntries(row: InodeRow, directory: DirectoryNode, pace: Pace): Promise<void> {
    const refuse = (name: ByteString, problem: string): never => {
      throw new TreeInvalidError(joinPath(this.pathOf(row), name), problem);
    };
    const names = [...directory.entries.keys()];
    for (const name of names) {
      if (pace.step()) await pace.turn();
      const problem = findNameProblem(name);
      if (problem !== undefined) refuse(name, problem);
    }
    const sorted = await sortNames(names, pace);
    this.directories.set(row, planDirectory(sorted));
    this.#childrenStarts.set(row, this.#children.length);
    for (const name of sorted) {
      if (pace.step()) await pace.turn();
      if (name === "." || name === "..") {
        this.#children.push(name === "." ? row : this.#parents.at(row));
        continue;
      }
      const child = directory.entries.get(name)!;
      const known = this.#nodes.find(child);
      if (child.kind === "directory") {
        if (known !== undefined) refuse(name, "the directory is in the tree twice");
        this.#linkCounts.set(row, this.linkCount(row) + 1);
      }
      this.#children.push(known ?? this.count);
      if (known === undefined) this.#add(child, row);
      else this.#linkCounts.set(known, this.linkCount(known) + 1);
    }
  }
}

/** Added to a node's place among the objects, to tell it from a row of packed files. */
const OBJECT = 2 ** 31;

/**
 * Nodes in a row, and the row of each node. Packed files, which nearly all nodes of a large tree are, take no object:
 * their table has a column in which they carry their row.
 */
class NodeList {
  /** The row of a packed file in its own table, or the place of another node, {@linkcode OBJECT} added. */
  readonly #places = new Column(Uint32Array);
  readonly #objects: TreeNode[] = [];
  readonly #rows = new Map<TreeNode, InodeRow>();
  #files: PackedFiles | undefined;

  get count(): number {
    return this.#places.length;
  }

  add(node: TreeNode): InodeRow {
    if (node instanceof PackedFile) {
      this.#files ??= node.files;
      assert(node.files === this.#files, "the packed files of a tree are of one table");
      const row = this.#places.push(node.row);
      this.#files.marks.set(node.row, row);
      return row;
    }
    const row = this.#places.push(OBJECT + this.#objects.length);
    this.#objects.push(node);
    this.#rows.set(node, row);
    return row;
  }

  at(row: InodeRow): TreeNode {
    const place = this.#places.at(row);
    return place < OBJECT ? new PackedFile(this.files, place) : this.#objects[place - OBJECT]!;
  }

  kind(row: InodeRow): TreeNode["kind"] {
    const place = this.#places.at(row);
    return place < OBJECT ? "file" : this.#objects[place - OBJECT]!.kind;
  }

  xattrsOf(row: InodeRow): TreeNode["xattrs"] {
    const place = this.#places.at(row);
    return place < OBJECT ? this.files.xattrsOf(place) : this.#objects[place - OBJECT]!.xattrs;
  }

  /** The packed file in this row; `undefined` for another node. */
  fileRow(row: InodeRow): FileRow | undefined {
    const place = this.#places.at(row);
    return place < OBJECT ? place : undefined;
  }

  /** The table of the packed files, of which there are some. */
  get files(): PackedFiles {
    assert(this.#files !== undefined, "there are packed files");
    return this.#files;
  }

  find(node: TreeNode): InodeRow | undefined {
    if (!(node instanceof PackedFile)) return this.#rows.get(node);
    // The mark may be one of another list, or none yet.
    const row = node.files.marks.at(node.row);
    return row < this.count && this.#places.at(row) === node.row ? row : undefined;
  }
}

function joinPath(directory: ByteString, name: ByteString): ByteString {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}
