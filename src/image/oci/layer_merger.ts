/**
 * Puts the layers of an image on top of each other: each is a tar, in which names that begin with `.wh.` take away what
 * layers below have.
 *
 * Source: OCI Image Specification 1.1, layer.md, sections "Whiteouts" and "Opaque Whiteout".
 *
 * @module
 */
import { TarInvalidError, TreeInvalidError } from "../errors.ts";
import { type ApplyTarReport, applyTar, type TarMember } from "../tar_source.ts";
import { PackedTree } from "../tree/packed_tree.ts";
import type { ByteString, ContentStore, DirectoryNode, TreeNode } from "../tree/tree.ts";
import { TreeBudget } from "../tree/tree_budget.ts";
import { findPosition } from "../tree/tree_path.ts";

const WHITEOUT_PREFIX = ".wh.";
const OPAQUE_NAME = ".wh..wh..opq";
/** What AUFS keeps for itself: no part of an image. */
const AUFS_PREFIX = ".wh..wh.";

/** What Linux shows for every symbolic link, whatever a tar says. */
const SYMLINK_MODE = 0o777;

/** Makes a symbolic link of a tar look as links do on Linux. */
export function setLinkMode(node: TreeNode): void {
  if (node.kind === "symlink") node.mode = SYMLINK_MODE;
}

/** Merges layers from the lowest to the highest. Data goes into `store` as it comes; the tree is in memory. */
export class LayerMerger {
  /** The merged tree so far. */
  readonly root: DirectoryNode;
  readonly #tree = new PackedTree();
  readonly #store: ContentStore;
  readonly #budget: TreeBudget;

  /** @param budget What the merged tree may take of memory. */
  constructor(store: ContentStore, budget: TreeBudget = new TreeBudget()) {
    this.#store = store;
    this.#budget = budget;
    this.root = this.#tree.root;
  }

  /**
   * Applies the next layer.
   *
   * @param source The layer's tar, not compressed. It is read to its end, so that it can be checked on the way.
   * @throws {TarInvalidError | AbortedError}
   */
  async apply(source: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<ApplyTarReport> {
    const isLowest = this.#tree.stamp++ === 0; // it has nothing below it that a whiteout could take away
    const own = isLowest ? undefined : new LayerNames(this.#tree);
    return await applyTar(source, this.root, this.#store, {
      signal,
      budget: this.#budget,
      allowDevices: true,
      absoluteNames: "strip",
      requireEnd: false, // a digest vouches for the layer
      beforeMember: (member, path) => this.#beforeMember(member, path, own),
      createDirectory: this.#tree.createDirectory,
      afterMember: (node, path) => {
        setLinkMode(node);
        if (node.kind === "directory") own?.add(this.root, path); // the entry may be of a lower layer
      },
    });
  }

  #beforeMember(member: TarMember, path: ByteString, own: LayerNames | undefined): "apply" | "skip" {
    if (!path.includes(WHITEOUT_PREFIX)) return "apply"; // nearly all
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    const parent = slash === -1 ? "" : path.slice(0, slash);
    if (name === OPAQUE_NAME) {
      const directory = this.#findDirectory(parent);
      if (directory !== undefined) own?.clearLower(directory);
      return "skip";
    }
    if (path.split("/").some((component) => component.startsWith(AUFS_PREFIX))) return "skip";
    if (!name.startsWith(WHITEOUT_PREFIX)) return "apply";
    const hidden = name.slice(WHITEOUT_PREFIX.length);
    if (hidden === "" || hidden === "." || hidden === "..") {
      throw new TarInvalidError(member.name, "it is a whiteout of no name");
    }
    own?.removeLower(this.#findDirectory(parent), hidden);
    return "skip";
  }

  /**
   * The directory that members below `path` would go into; `undefined` where there is none, also where the layer has
   * just put a file in its place: then there is nothing to hide.
   */
  #findDirectory(path: ByteString): DirectoryNode | undefined {
    if (path === "") return this.root;
    try {
      return findPosition(this.root, `${path}/${OPAQUE_NAME}`)?.directory;
    } catch (error) {
      if (error instanceof TreeInvalidError) return undefined;
      throw error;
    }
  }
}

/**
 * The entries that one layer has made, and so what is from the layers below: a whiteout counts for those only, wherever
 * in its layer it stands.
 */
class LayerNames {
  readonly #tree: PackedTree;
  readonly #layer: number;
  /** Directories that have nothing of lower layers any more: nothing is looked through twice. */
  readonly #cleared = new Set<DirectoryNode>();

  constructor(tree: PackedTree) {
    this.#tree = tree;
    this.#layer = tree.stamp;
  }

  /** Makes an entry one of this layer. Those that the layer has put in are, without it. */
  add(root: DirectoryNode, path: ByteString): void {
    const position = findPosition(root, path);
    if (position !== undefined) this.#tree.mark(position.directory, position.name); // else the root itself
  }

  /** Takes away what `directory` and the directories in it have from lower layers. */
  clearLower(directory: DirectoryNode): void {
    const kept = this.#directoriesWithOwn(directory);
    const pending = [directory];
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      if (this.#cleared.has(next)) continue;
      this.#cleared.add(next);
      for (const [name, node] of next.entries) {
        const isOwn = this.#has(next, name);
        if (node.kind === "directory" && (isOwn || kept.has(node))) pending.push(node);
        else if (!isOwn) next.entries.delete(name);
      }
    }
  }

  /** Takes away one entry; of a directory that has something of this layer, only the rest. */
  removeLower(directory: DirectoryNode | undefined, name: ByteString): void {
    const node = directory?.entries.get(name);
    if (directory === undefined || node === undefined) return;
    const isOwn = this.#has(directory, name);
    if (node.kind === "directory" && (isOwn || this.#directoriesWithOwn(node).has(node))) {
      this.clearLower(node);
    } else if (!isOwn) {
      directory.entries.delete(name);
    }
  }

  #has(directory: DirectoryNode, name: ByteString): boolean {
    return this.#tree.stampOf(directory, name) === this.#layer;
  }

  /** Of `top` and the directories below it, those in which, or below which, this layer has put something. */
  #directoriesWithOwn(top: DirectoryNode): Set<DirectoryNode> {
    const found = new Set<DirectoryNode>();
    const visited: { directory: DirectoryNode; parent: DirectoryNode | undefined }[] = [
      { directory: top, parent: undefined },
    ];
    for (let at = 0; at < visited.length; at++) {
      const { directory } = visited[at]!;
      if (this.#cleared.has(directory)) continue; // all that is left in it is this layer's
      for (const [name, node] of directory.entries) {
        if (node.kind === "directory") visited.push({ directory: node, parent: directory });
        if (this.#has(directory, name)) found.add(directory);
      }
    }
    for (const { directory, parent } of visited.reverse()) {
      if (this.#cleared.has(directory)) found.add(directory);
      if (parent !== undefined && found.has(directory)) found.add(parent);
    }
    return found;
  }
}
