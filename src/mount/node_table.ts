/**
 * The files that a guest's kernel knows, by the numbers that it knows them by.
 *
 * A node is known by each of its names, which are kept as the directory and the name in it, so that a rename of a directory
 * changes nothing below it. The kernel counts how often it was told a node's number and gives the count back (`forget`). A node
 * without count stays while nodes below it are known.
 *
 * @module
 */
import { FileSystemError } from "./errno.ts";
import { ROOT_ID } from "./fuse/constants.ts";
import { encodeName, PATH_BYTES_MAX } from "./names.ts";

/** A name of a node. */
interface Link {
  readonly parent: MountNode;
  readonly name: string;
}

/** A file that the kernel knows. */
export interface MountNode {
  readonly id: bigint;
  /** How often the kernel was told of it. */
  lookups: number;
  readonly links: Link[];
  /** Known nodes in it by name. */
  readonly children: Map<string, MountNode>;
  /** What it is, so that another name of the same file is the same node. */
  readonly identity: string | undefined;
  /** Whether programs of the guest asked for it, not only the process that repeats changes of the host there. */
  isWanted: boolean;
}

/** See the module. */
export class NodeTable {
  readonly root: MountNode = {
    id: ROOT_ID,
    lookups: 1,
    links: [],
    children: new Map(),
    identity: undefined,
    isWanted: true,
  };
  readonly #nodesMax: number;
  readonly #nodes = new Map<bigint, MountNode>([[ROOT_ID, this.root]]);
  readonly #byIdentity = new Map<string, MountNode>();
  /** Names of all nodes: one file can have any number of them. */
  #names = 0;
  #nextId = ROOT_ID + 1n;

  constructor(nodesMax: number) {
    this.#nodesMax = nodesMax;
  }

  /** Nodes that are held. */
  get size(): number {
    return this.#nodes.size;
  }

  /** All nodes, including those that are added while they are read. */
  all(): IterableIterator<MountNode> {
    return this.#nodes.values();
  }

  /** @throws {FileSystemError} ESTALE of a number that the kernel was never told, or has given back. */
  get(id: bigint): MountNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new FileSystemError("ESTALE");
    return node;
  }

  /** The path of a node. @throws {FileSystemError} ENOENT if it has no name any more, ENAMETOOLONG */
  path(node: MountNode): string {
    const names: string[] = [];
    for (let current = node; current !== this.root; ) {
      const [link] = current.links;
      if (link === undefined) throw new FileSystemError("ENOENT");
      names.push(link.name);
      if (names.length > PATH_BYTES_MAX / 2) throw new FileSystemError("ENAMETOOLONG");
      current = link.parent;
    }
    return checkedPath(`/${names.reverse().join("/")}`);
  }

  /** The path of a node, if it still has one. */
  knownPath(node: MountNode): string | undefined {
    try {
      return this.path(node);
    } catch (error) {
      if (error instanceof FileSystemError) return undefined;
      throw error;
    }
  }

  /** The path of an entry of a directory. */
  entryPath(parent: MountNode, name: string): string {
    const directory = this.path(parent);
    return checkedPath(directory === "/" ? `/${name}` : `${directory}/${name}`);
  }

  /** The known entry of a directory, if there is one. */
  child(parent: MountNode, name: string): MountNode | undefined {
    return parent.children.get(name);
  }

  /**
   * The node of an entry, which the kernel is told of now. `identity` is set of a file that may have several names.
   *
   * @throws {FileSystemError} ENFILE if the kernel holds as many, or as many names of them, as it may.
   */
  enter(parent: MountNode, name: string, identity: string, isWanted = true): MountNode {
    const node = this.#enter(parent, name, identity);
    if (isWanted) node.isWanted = true;
    return node;
  }

  #enter(parent: MountNode, name: string, identity: string): MountNode {
    const known = parent.children.get(name);
    if (known !== undefined && known.identity === identity) {
      preferLink(known, parent, name);
      known.lookups++;
      return known;
    }
    if (known !== undefined) this.#unlink(known, parent, name); // another file has the name now
    if (this.#names >= this.#nodesMax) throw new FileSystemError("ENFILE");
    const same = this.#byIdentity.get(identity);
    const node = same ?? this.#create(identity);
    node.lookups++;
    this.#link(node, parent, name);
    return node;
  }

  /** An entry is gone. */
  removed(parent: MountNode, name: string): void {
    const node = parent.children.get(name);
    if (node !== undefined) this.#unlink(node, parent, name);
  }

  /** An entry has another name now; what had that name is gone, or has the old one. */
  renamed(from: MountNode, name: string, to: MountNode, newName: string, isExchange: boolean): void {
    const moved = from.children.get(name);
    const replaced = to.children.get(newName);
    if (moved !== undefined && moved === replaced) return; // two names of one file: rename(2) does nothing
    if (moved !== undefined) this.#unlink(moved, from, name, true);
    if (replaced !== undefined) this.#unlink(replaced, to, newName, true);
    if (moved !== undefined) this.#link(moved, to, newName);
    if (replaced !== undefined && isExchange) this.#link(replaced, from, name);
    for (const node of [moved, replaced]) if (node !== undefined) this.#release(node);
  }

  /** The kernel gives back what it was told so many times. */
  forget(id: bigint, count: bigint): void {
    const node = this.#nodes.get(id);
    if (node === undefined || node === this.root) return;
    node.lookups = Math.max(0, node.lookups - Number(count));
    this.#release(node);
  }

  /** The known node that a path leads to, as far as nodes are known. */
  find(path: string): MountNode | undefined {
    let node: MountNode | undefined = this.root;
    for (const name of path.split("/")) {
      if (name !== "") node = node.children.get(name);
      if (node === undefined) return undefined;
    }
    return node;
  }

  #create(identity: string): MountNode {
    if (this.#nodes.size >= this.#nodesMax) throw new FileSystemError("ENFILE");
    const node: MountNode = {
      id: this.#nextId++,
      lookups: 0,
      links: [],
      children: new Map(),
      identity,
      isWanted: false,
    };
    this.#nodes.set(node.id, node);
    this.#byIdentity.set(identity, node);
    return node;
  }

  #link(node: MountNode, parent: MountNode, name: string): void {
    node.links.unshift({ parent, name }); // the latest name is the likeliest to be true
    parent.children.set(name, node);
    this.#names++;
  }

  #unlink(node: MountNode, parent: MountNode, name: string, keep = false): void {
    const index = node.links.findIndex((link) => link.parent === parent && link.name === name);
    if (index !== -1) this.#names -= node.links.splice(index, 1).length;
    parent.children.delete(name);
    // Its number stays good for those who hold it open, but another file may come to have its identity.
    if (node.links.length === 0 && !keep && node.identity !== undefined) this.#dropIdentity(node);
    if (!keep) this.#release(node);
    this.#release(parent);
  }

  #dropIdentity(node: MountNode): void {
    if (node.identity !== undefined && this.#byIdentity.get(node.identity) === node)
      this.#byIdentity.delete(node.identity);
  }

  /** Drops a node that is held no more, and then those above it that were held by it alone. */
  #release(node: MountNode): void {
    if (node === this.root || node.lookups > 0 || node.children.size > 0 || !this.#nodes.delete(node.id))
      return;
    this.#dropIdentity(node);
    const links = node.links.splice(0);
    this.#names -= links.length;
    for (const { parent, name } of links) {
      if (parent.children.get(name) === node) parent.children.delete(name);
      this.#release(parent);
    }
  }
}

/** The name that a node was found by just now is the likeliest to be true: others may have changed the others. */
function preferLink(node: MountNode, parent: MountNode, name: string): void {
  const isIt = (link: Link | undefined) => link?.parent === parent && link.name === name;
  if (isIt(node.links[0])) return;
  const index = node.links.findIndex(isIt);
  if (index > 0) node.links.unshift(...node.links.splice(index, 1));
}

function checkedPath(path: string): string {
  // A character is at most three bytes per UTF-16 unit: most paths need no look at their bytes.
  if (path.length * 3 > PATH_BYTES_MAX && encodeName(path).length > PATH_BYTES_MAX)
    throw new FileSystemError("ENAMETOOLONG");
  return path;
}
