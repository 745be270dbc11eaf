/**
 * Merges the layers of an image. Each layer is a tar; a name in it that begins with `.wh.` (a whiteout) removes what
 * lower layers have.
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
/** Names that AUFS reserves for itself; they are not part of an image. */
const AUFS_PREFIX = ".wh..wh.";

/** Mode that Linux shows for every symbolic link, whatever the tar says. */
const SYMLINK_MODE = 0o777;

/** Gives a symbolic link the mode that Linux shows for links. */
export function setLinkMode(node: TreeNode): void {
  if (node.kind === "symlink") node.mode = SYMLINK_MODE;
}

/** Merges layers from the lowest to the highest. Data goes straight into `store`; the tree stays in memory. */
export class LayerMerger {
  /** The merged tree so far. */
  readonly root: DirectoryNode;
  readonly #tree = new PackedTree();
  readonly #store: ContentStore;
  readonly #budget: TreeBudget;

  /** @param budget Memory that the merged tree may take. */
  constructor(store: ContentStore, budget: TreeBudget = new TreeBudget()) {
    this.#store = store;
    this.#budget = budget;
    this.root = this.#tree.root;
  }

  /**
   * Applies the next layer.
   *
   * @param source The layer's decompressed tar. It is read to its end, so that it can be checked on the way.
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
      throw new TarInvalidError(member.name, "it is a whiteout without a name");
    }
    own?.removeLower(this.#findDirectory(parent), hidden);
    return "skip";
  }

  /**
   * Returns the directory for members below `path`, or `undefined` if there is none. If the layer has just replaced the
   * directory by a file, there is nothing left to hide either.
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
 * Tells the entries of one layer from those of lower layers. A whiteout hides only lower layers, wherever in its layer
 * it appears.
 */
class LayerNames {
  readonly #tree: PackedTree;
  readonly #layer: number;
  /** Directories without anything from lower layers, so that none is searched twice. */
  readonly #cleared = new Set<DirectoryNode>();

  constructor(tree: PackedTree) {
    this.#tree = tree;
    this.#layer = tree.stamp;
  }

  /** Marks an entry as this layer's. New entries are marked already. */
  add(root: DirectoryNode, path: ByteString): void {
    const position = findPosition(root, path);
    if (position !== undefined) this.#tree.mark(position.directory, position.name); // else the root itself
  }

  /** Removes everything that `directory` and its subdirectories have from lower layers. */
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

  /** Removes one entry of lower layers. If it is a directory with something from this layer, removes only the rest. */
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

  /** Returns the directories at or below `top` that contain, at any depth, something from this layer. */
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
