/**
 * A file tree for very many files. Directories, links and devices are ordinary nodes. Files are rows of {@linkcode
 * PackedFiles}, and the entries of all directories are rows of one table, found by a hash of directory and name.
 *
 * A file's node is taken apart when it is put into a directory and created again on each request. For further names of
 * the same file, put in the node that the first name returns.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { NameHasher } from "./name_hash.ts";
import { PackedFile, PackedFiles } from "./packed_files.ts";
import {
  type ByteString,
  createDirectory,
  type DirectoryEntries,
  type DirectoryNode,
  type TreeNode,
} from "./tree.ts";
import { Column, NamePages } from "./typed_columns.ts";

/** Row of the table of entries. Row 0 is unused and ends lists. */
type EntryRow = number;

const NONE: EntryRow = 0;
const BUCKETS_FIRST = 1024;
/** Added to an entry's target to mark a place in the list of other nodes instead of a row of files. */
const OTHER_NODE = 2 ** 31;
/** Target of a removed entry. */
const REMOVED = 2 ** 32 - 1;

export class PackedTree {
  readonly root: DirectoryNode;
  /** 16-bit stamp of new entries, e.g. the number of their layer. */
  stamp = 0;
  readonly #table: EntryTable;

  constructor() {
    this.#table = new EntryTable(() => this.stamp);
    this.root = this.createDirectory();
  }

  /** Creates an empty directory of this tree. */
  readonly createDirectory = (): DirectoryNode => ({
    ...createDirectory(),
    entries: new PackedEntries(this.#table),
  });

  /**
   * Returns the stamp of an entry from when it was added or last marked, or `undefined` if the entry does not exist.
   */
  stampOf(directory: DirectoryNode, name: ByteString): number | undefined {
    return packedEntriesOf(directory).stampOf(name);
  }

  /** Gives an entry the current stamp. */
  mark(directory: DirectoryNode, name: ByteString): void {
    packedEntriesOf(directory).mark(name);
  }
}

function packedEntriesOf({ entries }: DirectoryNode): PackedEntries {
  assert(entries instanceof PackedEntries, "the directory is of a packed tree");
  return entries;
}

/** Entries of all directories of a tree. */
class EntryTable {
  readonly #stamp: () => number;
  readonly #hasher = new NameHasher();
  readonly #files = new PackedFiles();
  readonly #others: TreeNode[] = [];
  readonly #names = new NamePages();
  readonly #directories = new Column(Uint32Array);
  readonly #hashes = new Column(Uint32Array);
  readonly #namePositions = new Column(Float64Array);
  readonly #nameLengths = new Column(Uint16Array);
  readonly #targets = new Column(Uint32Array);
  readonly #stamps = new Column(Uint16Array);
  /** Next entry in the same bucket of the hash table. */
  readonly #chain = new Column(Uint32Array);
  /** Next entry of the directory. */
  readonly #next = new Column(Uint32Array);
  #buckets = new Uint32Array(BUCKETS_FIRST);
  #directoryCount = 0;

  constructor(stamp: () => number) {
    this.#stamp = stamp;
    this.#addRow(0, 0, "", REMOVED);
  }

  addDirectory(): number {
    return this.#directoryCount++;
  }

  hash(directory: number, name: ByteString): number {
    return this.#hasher.hash(directory, name);
  }

  find(directory: number, name: ByteString, hash: number): EntryRow {
    let row = this.#buckets[hash & (this.#buckets.length - 1)]!;
    while (row !== NONE && !this.#isEntry(row, hash, directory, name)) row = this.#chain.at(row);
    return row;
  }

  /** Adds an entry, which must not exist yet. */
  add(directory: number, name: ByteString, hash: number, node: TreeNode): EntryRow {
    if (this.#targets.length > this.#buckets.length) this.#widen();
    const row = this.#addRow(directory, hash, name, this.#targetOf(node));
    this.#enchain(row, hash);
    return row;
  }

  replace(row: EntryRow, node: TreeNode): void {
    this.#targets.set(row, this.#targetOf(node));
    this.mark(row);
  }

  /** Removes an entry. Its row stays in the directory's list. */
  remove(row: EntryRow): void {
    const bucket = this.#hashes.at(row) & (this.#buckets.length - 1);
    const after = this.#chain.at(row);
    if (this.#buckets[bucket] === row) {
      this.#buckets[bucket] = after;
    } else {
      let before = this.#buckets[bucket]!;
      while (this.#chain.at(before) !== row) before = this.#chain.at(before);
      this.#chain.set(before, after);
    }
    this.#targets.set(row, REMOVED);
  }

  /** Returns the node, or `undefined` for a removed entry. */
  node(row: EntryRow): TreeNode | undefined {
    const target = this.#targets.at(row);
    if (target === REMOVED) return undefined;
    return target >= OTHER_NODE ? this.#others[target - OTHER_NODE]! : new PackedFile(this.#files, target);
  }

  isRemoved(row: EntryRow): boolean {
    return this.#targets.at(row) === REMOVED;
  }

  name(row: EntryRow): ByteString {
    return this.#names.get(this.#namePositions.at(row), this.#nameLengths.at(row));
  }

  next(row: EntryRow): EntryRow {
    return this.#next.at(row);
  }

  link(row: EntryRow, next: EntryRow): void {
    this.#next.set(row, next);
  }

  stamp(row: EntryRow): number {
    return this.#stamps.at(row);
  }

  mark(row: EntryRow): void {
    this.#stamps.set(row, this.#stamp());
  }

  #addRow(directory: number, hash: number, name: ByteString, target: number): EntryRow {
    this.#directories.push(directory);
    this.#hashes.push(hash);
    this.#namePositions.push(this.#names.add(name));
    this.#nameLengths.push(name.length);
    this.#stamps.push(this.#stamp());
    this.#chain.push(NONE);
    this.#next.push(NONE);
    return this.#targets.push(target);
  }

  #targetOf(node: TreeNode): number {
    if (node instanceof PackedFile && node.files === this.#files) return node.row;
    if (node.kind === "file" && this.#files.canHold(node.content)) return this.#files.add(node, node.content);
    this.#others.push(node);
    return OTHER_NODE + this.#others.length - 1;
  }

  #isEntry(row: EntryRow, hash: number, directory: number, name: ByteString): boolean {
    return (
      this.#hashes.at(row) === hash &&
      this.#directories.at(row) === directory &&
      this.#nameLengths.at(row) === name.length &&
      this.#names.equals(this.#namePositions.at(row), name)
    );
  }

  #enchain(row: EntryRow, hash: number): void {
    const bucket = hash & (this.#buckets.length - 1);
    this.#chain.set(row, this.#buckets[bucket]!);
    this.#buckets[bucket] = row;
  }

  #widen(): void {
    this.#buckets = new Uint32Array(this.#buckets.length * 2);
    for (let row = 1; row < this.#targets.length; row++) {
      if (!this.isRemoved(row)) this.#enchain(row, this.#hashes.at(row));
    }
  }
}

/** Entries of one directory. */
class PackedEntries implements DirectoryEntries {
  readonly #table: EntryTable;
  readonly #directory: number;
  #first: EntryRow = NONE;
  #last: EntryRow = NONE;
  #size = 0;
  /** Subdirectories once more, because every path leads through some and a native map is faster. */
  #directories: Map<ByteString, DirectoryNode> | undefined;

  constructor(table: EntryTable) {
    this.#table = table;
    this.#directory = table.addDirectory();
  }

  get size(): number {
    return this.#size;
  }

  get(name: ByteString): TreeNode | undefined {
    const directory = this.#directories?.get(name);
    if (directory !== undefined) return directory;
    const row = this.#find(name);
    return row === NONE ? undefined : this.#table.node(row);
  }

  set(name: ByteString, node: TreeNode): void {
    if (node.kind !== "directory") {
      this.#directories?.delete(name);
    } else {
      this.#directories ??= new Map();
      this.#directories.set(name, node);
    }
    const hash = this.#table.hash(this.#directory, name);
    const present = this.#table.find(this.#directory, name, hash);
    if (present !== NONE) {
      this.#table.replace(present, node);
      return;
    }
    const row = this.#table.add(this.#directory, name, hash, node);
    if (this.#last === NONE) this.#first = row;
    else this.#table.link(this.#last, row);
    this.#last = row;
    this.#size++;
  }

  delete(name: ByteString): boolean {
    this.#directories?.delete(name);
    const row = this.#find(name);
    if (row === NONE) return false;
    this.#table.remove(row);
    this.#size--;
    return true;
  }

  stampOf(name: ByteString): number | undefined {
    const row = this.#find(name);
    return row === NONE ? undefined : this.#table.stamp(row);
  }

  mark(name: ByteString): void {
    const row = this.#find(name);
    if (row !== NONE) this.#table.mark(row);
  }

  keys(): Iterable<ByteString> {
    return this.#rows().map((row) => this.#table.name(row));
  }

  values(): Iterable<TreeNode> {
    return this.#rows().map((row) => this.#table.node(row)!);
  }

  *[Symbol.iterator](): Generator<[ByteString, TreeNode], void, undefined> {
    for (const row of this.#rows()) yield [this.#table.name(row), this.#table.node(row)!];
  }

  #find(name: ByteString): EntryRow {
    return this.#table.find(this.#directory, name, this.#table.hash(this.#directory, name));
  }

  /** Returns a separate list, so that entries may be removed while it is walked. */
  #rows(): EntryRow[] {
    const rows: EntryRow[] = [];
    for (let row = this.#first; row !== NONE; row = this.#table.next(row)) {
      if (!this.#table.isRemoved(row)) rows.push(row);
    }
    return rows;
  }
}
