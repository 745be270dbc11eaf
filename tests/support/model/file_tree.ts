/**
 * A file system in memory that does what Linux does, errors included: the judge of file calls. Paths are relative to its root
 * and have neither `.` nor `..`.
 *
 * @module
 */

export interface ModelFile {
  readonly kind: "file";
  bytes: Uint8Array;
  mode: number;
}
export interface ModelDirectory {
  readonly kind: "directory";
  readonly entries: Map<string, ModelNode>;
  mode: number;
}
export interface ModelLink {
  readonly kind: "symlink";
  readonly target: string;
}
/** Names of the same file have the same object. */
export type ModelNode = ModelFile | ModelDirectory | ModelLink;

/** What the kernel would answer. */
export class Errno extends Error {
  readonly errnoName: string;

  constructor(errnoName: string) {
    super(errnoName);
    this.errnoName = errnoName;
  }
}

/** Where a path ends: in `parent`, which has or has not something of that name. */
interface Place {
  readonly parent: ModelDirectory;
  readonly name: string;
  readonly node: ModelNode | undefined;
  /** The directories above, the root first. */
  readonly above: readonly ModelDirectory[];
}

/** As many links as the kernel follows. */
const LINKS_MAX = 40;

/** How to write. */
export interface ModelWrite {
  readonly append?: boolean | undefined;
  readonly offset?: number | undefined;
  readonly exclusive?: boolean | undefined;
  readonly create?: boolean | undefined;
  readonly createParents?: boolean | undefined;
  readonly atomic?: boolean | undefined;
  readonly mode?: number | undefined;
}

export class ModelTree {
  readonly root: ModelDirectory = { kind: "directory", entries: new Map(), mode: 0o755 };
  readonly #umask: number;

  constructor(umask: number) {
    this.#umask = umask;
  }

  /** What is at a path. */
  node(path: string, follow = true): ModelNode {
    return this.#walk(path, follow).node ?? fail("ENOENT");
  }

  read(path: string): Uint8Array {
    const node = this.node(path);
    return node.kind === "file" ? node.bytes : fail("EISDIR");
  }

  list(path: string): readonly string[] {
    const node = this.node(path);
    return node.kind === "directory" ? [...node.entries.keys()].sort() : fail("ENOTDIR");
  }

  exists(path: string): boolean {
    try {
      return this.node(path) !== undefined;
    } catch (error) {
      if (error instanceof Errno && ["ENOENT", "ENOTDIR"].includes(error.errnoName)) return false;
      throw error;
    }
  }

  write(path: string, bytes: Uint8Array, options: ModelWrite): void {
    const { createParents = true, atomic = false, mode, append = false, offset } = options;
    if (createParents) this.#makeParents(path);
    const file = atomic ? this.#openBeside(path, options) : this.#open(path, options);
    if (atomic || (!append && offset === undefined)) file.bytes = bytes;
    else if (bytes.length > 0)
      // nothing at an offset makes a file no longer
      file.bytes = overlaid(file.bytes, bytes, append ? file.bytes.length : (offset ?? 0));
    if (mode !== undefined) file.mode = mode;
  }

  truncate(path: string, size: number): void {
    const node = this.node(path);
    if (node.kind !== "file") fail("EISDIR");
    else node.bytes = overlaid(node.bytes.subarray(0, size), new Uint8Array(0), size);
  }

  chmod(path: string, mode: number): void {
    const node = this.node(path);
    if (node.kind !== "symlink") node.mode = mode;
  }

  mkdir(path: string, createParents: boolean): void {
    if (createParents) this.#makeParents(path);
    const { parent, name, node } = this.#walk(path, false);
    if (node === undefined) parent.entries.set(name, this.#directory());
    else if (!createParents || !this.#isDirectory(path)) fail("EEXIST");
  }

  remove(path: string, force: boolean): void {
    const place = this.#toRemove(path, force);
    if (place?.node?.kind === "directory") fail("EISDIR");
    place?.parent.entries.delete(place.name);
  }

  removeDir(path: string, recursive: boolean, force: boolean): void {
    const place = this.#toRemove(path, force);
    if (place === undefined) return;
    if (place.node?.kind !== "directory") fail("ENOTDIR");
    else if (!recursive && place.node.entries.size > 0) fail("ENOTEMPTY");
    place.parent.entries.delete(place.name);
  }

  rename(from: string, to: string, exclusive: boolean): void {
    const source = this.#walk(from, false);
    const target = source.node === undefined ? fail("ENOENT") : this.#walk(to, false);
    const { node } = source;
    if (exclusive && target.node !== undefined) fail("EEXIST");
    if (node?.kind === "directory" && target.above.includes(node)) fail("EINVAL");
    if (target.node?.kind === "directory" && source.above.includes(target.node)) fail("ENOTEMPTY");
    if (node === target.node) return;
    if (node?.kind === "directory" && target.node !== undefined && target.node.kind !== "directory")
      fail("ENOTDIR");
    if (node?.kind !== "directory" && target.node?.kind === "directory") fail("EISDIR");
    if (target.node?.kind === "directory" && target.node.entries.size > 0) fail("ENOTEMPTY");
    source.parent.entries.delete(source.name);
    target.parent.entries.set(target.name, node!);
  }

  copyFile(from: string, to: string, exclusive: boolean): void {
    const source = this.node(from);
    if (source.kind !== "file") return fail("EISDIR");
    if (this.#sameFile(to, source)) fail("EINVAL");
    const target = this.#open(to, { exclusive });
    target.bytes = source.bytes;
    target.mode = source.mode;
  }

  symlink(target: string, path: string, replace: boolean): void {
    const { parent, name, node } = this.#walk(path, false);
    if (node !== undefined && !replace) fail("EEXIST");
    if (node?.kind === "directory") fail("EISDIR");
    parent.entries.set(name, { kind: "symlink", target });
  }

  link(existing: string, path: string): void {
    const node = this.node(existing, false);
    const place = this.#walk(path, false);
    if (place.node !== undefined) fail("EEXIST");
    if (node.kind === "directory") fail("EPERM");
    place.parent.entries.set(place.name, node);
  }

  readLink(path: string): string {
    const node = this.node(path, false);
    return node.kind === "symlink" ? node.target : fail("EINVAL");
  }

  /** How many names a file has. */
  links(file: ModelNode, directory: ModelDirectory = this.root): number {
    let count = 0;
    for (const node of directory.entries.values()) {
      if (node === file) count++;
      if (node.kind === "directory") count += this.links(file, node);
    }
    return count;
  }

  #walk(path: string, followLast: boolean): Place {
    const left = path.split("/");
    const above = [this.root];
    for (let links = 0; ; ) {
      const name = left.shift() ?? "";
      const parent = above.at(-1) ?? this.root;
      const node = parent.entries.get(name);
      const isLast = left.length === 0;
      if (node?.kind === "symlink" && (!isLast || followLast)) {
        if (++links > LINKS_MAX) fail("ELOOP");
        left.unshift(...node.target.split("/"));
      } else if (isLast) return { parent, name, node, above };
      else if (node === undefined) fail("ENOENT");
      else if (node.kind !== "directory") fail("ENOTDIR");
      else above.push(node);
    }
  }

  #open(path: string, { exclusive = false, create = true }: ModelWrite): ModelFile {
    const { parent, name, node } = this.#walk(path, !exclusive);
    if (node !== undefined && exclusive) fail("EEXIST");
    if (node?.kind === "file") return node;
    if (node !== undefined) return fail("EISDIR");
    if (!create) fail("ENOENT");
    const file = this.#file();
    parent.entries.set(name, file);
    return file;
  }

  /** A new file in the place of what a path leads to. */
  #openBeside(path: string, { exclusive = false }: ModelWrite): ModelFile {
    const place = this.#leadsSomewhere(path) ? this.#walk(path, true) : this.#walk(path, false);
    const { node } = place;
    if (node !== undefined && exclusive) fail("EEXIST");
    if (node?.kind === "directory") fail("EISDIR");
    if (node?.kind === "symlink") fail("EINVAL");
    const file = this.#file();
    if (node?.kind === "file") file.mode = node.mode;
    place.parent.entries.set(place.name, file);
    return file;
  }

  #makeParents(path: string): void {
    const parts = path.split("/").slice(0, -1);
    if (parts.length === 0 || this.#leadsSomewhere(parts.join("/"))) return;
    for (let depth = 1; depth <= parts.length; depth++) {
      const prefix = parts.slice(0, depth).join("/");
      try {
        const { parent, name, node } = this.#walk(prefix, false);
        if (node === undefined) parent.entries.set(name, this.#directory());
      } catch (error) {
        if (!this.#leadsSomewhere(prefix)) throw error;
      }
    }
  }

  #toRemove(path: string, force: boolean): Place | undefined {
    try {
      const place = this.#walk(path, false);
      if (place.node === undefined) fail("ENOENT");
      return place;
    } catch (error) {
      if (force && error instanceof Errno && error.errnoName === "ENOENT") return undefined;
      throw error;
    }
  }

  #leadsSomewhere(path: string): boolean {
    try {
      return this.#walk(path, true).node !== undefined;
    } catch {
      return false; // for whatever reason
    }
  }

  #isDirectory(path: string): boolean {
    return this.#leadsSomewhere(path) && this.node(path).kind === "directory";
  }

  #sameFile(path: string, file: ModelFile): boolean {
    return this.#leadsSomewhere(path) && this.node(path) === file;
  }

  #file(): ModelFile {
    return { kind: "file", bytes: new Uint8Array(0), mode: 0o666 & ~this.#umask };
  }

  #directory(): ModelDirectory {
    return { kind: "directory", entries: new Map(), mode: 0o777 & ~this.#umask };
  }
}

function overlaid(bytes: Uint8Array, more: Uint8Array, offset: number): Uint8Array {
  const result = new Uint8Array(Math.max(bytes.length, offset + more.length));
  result.set(bytes);
  result.set(more, offset);
  return result;
}

function fail(errnoName: string): never {
  throw new Errno(errnoName);
}
