/**
 * A file system in memory.
 *
 * @module
 */
import { encodeUtf8 } from "../../base/bytes.ts";
import { FileSystemError } from "../errno.ts";
import type { Owner } from "../owner_map.ts";
import { baseName, isBelow, parentPath } from "../paths.ts";
import type {
  AttributeChanges,
  FileSystemProvider,
  FileType,
  ProviderAttributes,
  ProviderEntry,
  ProviderFile,
  ProviderOpenOptions,
  ProviderStatistics,
  RenameOptions,
} from "../provider.ts";
import {
  attributesOf,
  changeAttributes,
  checkReplaceable,
  enlarged,
  extendedBytes,
  heldBytes,
  type MemoryFileSystemOptions,
  type MemoryNode,
  moveLink,
  type NodeDetails,
  namesOf,
  now,
  statisticsOf,
  touch,
} from "./memory_node.ts";

export type { MemoryFileSystemOptions } from "./memory_node.ts";

const BYTES_MAX = 1024 ** 3;
const FILES_MAX = 100_000;
/** Others mean something to a kernel, which they would not do here. */
const EXTENDED_PREFIX = "user.";

/**
 * Files in the memory of this process, for what a sandbox is to see and no disk holds: generated configuration, inputs of a
 * test, a place for results that the program reads without a copy.
 *
 * @example
 * ```ts no-vm
 * import { MemoryFileSystem } from "microsandbox";
 *
 * const files = new MemoryFileSystem({ "config.json": "{}", "data/a.bin": Uint8Array.of(1, 2, 3) });
 * console.log(files.readText("/config.json"));
 * ```
 */
export class MemoryFileSystem implements FileSystemProvider {
  readonly #bytesMax: number;
  readonly #filesMax: number;
  readonly #root: MemoryNode;
  #nextInode = 1n;
  #bytes = 0;
  #files = 0;

  /** Begins with these files, by path; directories above them are made. */
  constructor(
    files: Readonly<Record<string, string | Uint8Array>> = {},
    options: MemoryFileSystemOptions = {},
  ) {
    const { bytesMax = BYTES_MAX, filesMax = FILES_MAX, uid = 0, gid = 0 } = options;
    this.#bytesMax = bytesMax;
    this.#filesMax = filesMax;
    this.#root = this.#create("directory", 0o755, { uid, gid });
    for (const [path, content] of Object.entries(files)) this.writeFile(path, content);
  }

  /** Writes a whole file; directories above it are made. @throws {FileSystemError} EINVAL for a path without a name, or with `..` */
  writeFile(path: string, content: string | Uint8Array): void {
    const { above: names, name } = namesOf(path);
    let directory = this.#root;
    for (const above of names) {
      const next = directory.entries.get(above) ?? this.#add(directory, above, "directory", 0o755);
      if (next.type !== "directory") throw new FileSystemError("ENOTDIR");
      directory = next;
    }
    const file = directory.entries.get(name) ?? this.#add(directory, name, "file", 0o644);
    if (file.type !== "file") throw new FileSystemError("EISDIR");
    const bytes = typeof content === "string" ? encodeUtf8(content) : content;
    this.#resize(file, bytes.length);
    file.content.set(bytes);
    touch(file);
  }

  /** The bytes of a file. @throws {FileSystemError} */
  readFile(path: string): Uint8Array<ArrayBuffer> {
    const node = this.#find(path);
    if (node.type !== "file") throw new FileSystemError("EISDIR");
    return node.content.slice(0, node.size);
  }

  /** A file as UTF-8 text. @throws {FileSystemError} */
  readText(path: string): string {
    return new TextDecoder().decode(this.readFile(path));
  }

  /** @internal */
  attributes(path: string): ProviderAttributes {
    return attributesOf(this.#find(path));
  }

  /** @internal */
  list(path: string): readonly ProviderEntry[] {
    const { entries } = this.#directory(path);
    return [...entries].map(([name, { type, inode }]) => ({ name, type, inode }));
  }

  /** @internal */
  open(path: string, options: ProviderOpenOptions): ProviderFile {
    const existing = options.create
      ? this.#directory(parentPath(path)).entries.get(baseName(path))
      : undefined;
    if (existing !== undefined && options.exclusive) throw new FileSystemError("EEXIST");
    const isNew = options.create && existing === undefined;
    const node = isNew
      ? this.#add(this.#directory(parentPath(path)), baseName(path), "file", options.mode)
      : this.#find(path);
    if (node.type !== "file") throw new FileSystemError(node.type === "directory" ? "EISDIR" : "EACCES");
    if (options.truncate) {
      this.#resize(node, 0);
      touch(node);
    }
    return this.#openFile(node, options.append);
  }

  /** @internal */
  readLink(path: string): string {
    const node = this.#find(path);
    if (node.type !== "symlink") throw new FileSystemError("EINVAL");
    return node.target;
  }

  /** @internal */
  setAttributes(path: string, changes: AttributeChanges): void {
    this.#change(this.#find(path), changes);
  }

  /** @internal */
  makeDirectory(path: string, mode: number): void {
    this.#make(path, "directory", mode);
  }

  /** @internal */
  makeNode(path: string, type: FileType, mode: number, special: number): void {
    if (type === "characterDevice" || type === "blockDevice") throw new FileSystemError("EPERM");
    this.#make(path, type, mode, { special });
  }

  /** @internal */
  makeSymlink(path: string, target: string): void {
    this.#make(path, "symlink", 0o777, { target });
  }

  /** @internal */
  makeLink(existing: string, path: string): void {
    const node = this.#find(existing);
    if (node.type === "directory") throw new FileSystemError("EPERM");
    const directory = this.#directory(parentPath(path));
    if (directory.entries.has(baseName(path))) throw new FileSystemError("EEXIST");
    this.#countFile(); // names are bounded, whatever they name
    directory.entries.set(baseName(path), node);
    node.links++;
    node.changedNs = now();
    touch(directory);
  }

  /** @internal */
  removeFile(path: string): void {
    const node = this.#find(path);
    if (node.type === "directory") throw new FileSystemError("EISDIR");
    this.#remove(path, node);
  }

  /** @internal */
  removeDirectory(path: string): void {
    const node = this.#find(path);
    if (node === this.#root) throw new FileSystemError("EBUSY");
    if (node.type !== "directory") throw new FileSystemError("ENOTDIR");
    if (node.entries.size > 0) throw new FileSystemError("ENOTEMPTY");
    this.#remove(path, node);
  }

  /** @internal */
  rename(from: string, to: string, { exclusive, exchange }: RenameOptions): void {
    const node = this.#find(from);
    const source = this.#directory(parentPath(from));
    const target = this.#directory(parentPath(to));
    const replaced = target.entries.get(baseName(to));
    if (node.type === "directory" && isBelow(to, from)) throw new FileSystemError("EINVAL");
    if (replaced === node) return;
    if (exchange) {
      if (replaced === undefined) throw new FileSystemError("ENOENT");
      if (replaced.type === "directory" && isBelow(from, to)) throw new FileSystemError("EINVAL");
      moveLink(replaced, target, source);
      source.entries.set(baseName(from), replaced);
    } else {
      if (replaced !== undefined) {
        if (exclusive) throw new FileSystemError("EEXIST");
        checkReplaceable(replaced, node);
        this.#remove(to, replaced);
      }
      source.entries.delete(baseName(from));
    }
    moveLink(node, source, target);
    target.entries.set(baseName(to), node);
    node.changedNs = now();
    for (const directory of [source, target]) touch(directory);
  }

  /** @internal */
  statistics(): ProviderStatistics {
    return statisticsOf(this.#bytesMax, this.#bytes, this.#filesMax, this.#files);
  }

  /** @internal */
  getExtended(path: string, name: string): Uint8Array {
    const value = this.#find(path).extended.get(name);
    if (value === undefined) throw new FileSystemError("ENODATA");
    return value;
  }

  /** @internal */
  listExtended(path: string): readonly string[] {
    return [...this.#find(path).extended.keys()];
  }

  /** @internal */
  setExtended(path: string, name: string, value: Uint8Array, existing: "any" | "new" | "old"): void {
    if (!name.startsWith(EXTENDED_PREFIX)) throw new FileSystemError("EOPNOTSUPP");
    const node = this.#find(path);
    const old = node.extended.get(name);
    if (existing === "new" && old !== undefined) throw new FileSystemError("EEXIST");
    if (existing === "old" && old === undefined) throw new FileSystemError("ENODATA");
    this.#account(value.length - (old?.length ?? -extendedBytes(name)));
    node.extended.set(name, value.slice());
    node.changedNs = now();
  }

  /** @internal */
  removeExtended(path: string, name: string): void {
    const node = this.#find(path);
    this.#account(-this.getExtended(path, name).length - extendedBytes(name));
    node.extended.delete(name);
    node.changedNs = now();
  }

  #openFile(node: MemoryNode, isAppending: boolean): ProviderFile {
    node.opens++;
    return {
      read: (offset, length) => node.content.subarray(offset, Math.min(offset + length, node.size)),
      write: (offset, data) => {
        const start = isAppending ? node.size : offset;
        if (start + data.length > node.size) this.#resize(node, start + data.length);
        node.content.set(data, start);
        touch(node);
      },
      attributes: () => attributesOf(node),
      setAttributes: (changes) => this.#change(node, changes),
      allocate: (mode, offset, length) => {
        if (mode !== 0) throw new FileSystemError("EOPNOTSUPP");
        if (offset + length > node.size) this.#resize(node, offset + length);
      },
      seek: (offset, what) => {
        if (offset >= node.size) throw new FileSystemError("ENXIO");
        return what === "data" ? offset : node.size;
      },
      close: () => {
        node.opens--;
        this.#release(node);
      },
    };
  }

  #find(path: string): MemoryNode {
    let node = this.#root;
    for (const name of path.split("/").filter((part) => part !== "")) {
      if (node.type !== "directory") throw new FileSystemError("ENOTDIR");
      const next = node.entries.get(name);
      if (next === undefined) throw new FileSystemError("ENOENT");
      node = next;
    }
    return node;
  }

  #directory(path: string): MemoryNode {
    const node = this.#find(path);
    if (node.type !== "directory") throw new FileSystemError("ENOTDIR");
    return node;
  }

  #make(path: string, type: FileType, mode: number, more: NodeDetails = {}): void {
    const directory = this.#directory(parentPath(path));
    if (directory.entries.has(baseName(path))) throw new FileSystemError("EEXIST");
    this.#add(directory, baseName(path), type, mode, more);
  }

  #add(
    directory: MemoryNode,
    name: string,
    type: FileType,
    mode: number,
    more: NodeDetails = {},
  ): MemoryNode {
    const node = this.#create(type, mode, { uid: directory.uid, gid: directory.gid, ...more });
    directory.entries.set(name, node);
    if (type === "directory") directory.links++;
    touch(directory);
    return node;
  }

  #create(
    type: FileType,
    mode: number,
    { uid, gid, target = "", special = 0 }: NodeDetails & Owner,
  ): MemoryNode {
    this.#countFile();
    const time = now();
    return {
      type,
      inode: this.#nextInode++,
      special,
      mode,
      uid,
      gid,
      links: type === "directory" ? 2 : 1,
      opens: 0,
      content: new Uint8Array(0),
      size: encodeUtf8(target).length,
      target,
      entries: new Map(),
      extended: new Map(),
      accessedNs: time,
      modifiedNs: time,
      changedNs: time,
    };
  }

  #remove(path: string, node: MemoryNode): void {
    const directory = this.#directory(parentPath(path));
    directory.entries.delete(baseName(path));
    if (node.type === "directory") directory.links--;
    node.links -= node.type === "directory" ? 2 : 1;
    node.changedNs = now();
    this.#files--;
    touch(directory);
    this.#release(node);
  }

  /** Gives up what no name and no open file holds any more. */
  #release(node: MemoryNode): void {
    if (node.links > 0 || node.opens > 0) return;
    this.#account(-heldBytes(node));
  }

  #change(node: MemoryNode, { size, ...others }: AttributeChanges): void {
    if (size !== undefined) {
      if (node.type !== "file") throw new FileSystemError("EINVAL");
      this.#resize(node, size);
      node.modifiedNs = now();
    }
    changeAttributes(node, others);
  }

  /** Gives a file its size; what is new is zeros. */
  #resize(node: MemoryNode, size: number): void {
    if (size > node.content.length) {
      const most = node.content.length + this.#bytesMax - this.#bytes;
      const room = Math.max(size, Math.min(2 * node.content.length, most));
      this.#account(room - node.content.length);
      node.content = enlarged(node, room);
    } else if (size < node.size) {
      if (size === 0) {
        this.#account(-node.content.length);
        node.content = new Uint8Array(0);
      } else node.content.fill(0, size, node.size);
    }
    node.size = size;
  }

  #countFile(): void {
    if (this.#files >= this.#filesMax) throw new FileSystemError("ENOSPC");
    this.#files++;
  }

  #account(bytes: number): void {
    if (bytes > 0 && this.#bytes + bytes > this.#bytesMax) throw new FileSystemError("ENOSPC");
    this.#bytes += bytes;
  }
}
