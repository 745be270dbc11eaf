/**
 * A bound on the memory that one image's file tree takes. A tar of some kilobytes can ask for gigabytes of it: by names,
 * link targets and attributes that compress well, and by directories that it only implies.
 *
 * The sums are estimates of what the objects take in either runtime, on the safe side.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { MiB } from "../../base/bytes.ts";
import { TarInvalidError } from "../errors.ts";
import { type ByteString, NO_XATTRS, type TreeNode } from "./tree.ts";

/** Most memory that the tree of one image, with all of its layers, may take: room for some two million files. */
export const TREE_BYTES_MAX = 256 * MiB;

const ENTRY_BYTES = 64;
const NODE_BYTES: Readonly<Record<TreeNode["kind"], number>> = {
  file: 64,
  directory: 512,
  symlink: 256,
  characterDevice: 256,
  blockDevice: 256,
  fifo: 256,
  socket: 256,
};
const XATTR_SET_BYTES = 512;
const XATTR_BYTES = 256;
/** Names and values are kept in the tree, and once more in the form that the disk has. */
const XATTR_COPIES = 2;

type Xattrs = TreeNode["xattrs"];

/** What one image's tree may still take. Nothing is given back: a bomb could take and give for ever. */
export class TreeBudget {
  readonly #bytesMax: number;
  #leftBytes: number;
  /** Each set of attributes once, by its hash. */
  readonly #xattrSets = new Map<string, Xattrs>();

  constructor(bytesMax: number = TREE_BYTES_MAX) {
    this.#bytesMax = bytesMax;
    this.#leftBytes = bytesMax;
  }

  /** Takes memory for a name in a directory. @throws {TarInvalidError} */
  takeEntry(name: ByteString): void {
    this.#take(ENTRY_BYTES + name.length);
  }

  /** Takes memory for a new inode, without its name and attributes. @throws {TarInvalidError} */
  takeNode(node: TreeNode): void {
    const ownBytes = node.kind === "symlink" ? node.target.length : 0;
    this.#take(
      NODE_BYTES[node.kind] + ownBytes + (node.kind === "file" ? (node.content.memoryBytes ?? 0) : 0),
    );
  }

  /**
   * The same attributes as one object for all inodes that have them, which takes memory once: files of an image tend to
   * have the same few sets.
   *
   * @throws {TarInvalidError}
   */
  shareXattrs(xattrs: Xattrs): Xattrs {
    if (xattrs.size === 0) return NO_XATTRS;
    const hash = createHash("sha256");
    let sizeBytes = 0;
    for (const [name, value] of xattrs) {
      hash.update(`${name.length} ${value.length} `).update(name, "latin1").update(value);
      sizeBytes += XATTR_BYTES + XATTR_COPIES * (name.length + value.length);
    }
    const key = hash.digest("base64");
    const known = this.#xattrSets.get(key);
    if (known !== undefined) return known;
    this.#take(XATTR_SET_BYTES + sizeBytes);
    this.#xattrSets.set(key, xattrs);
    return xattrs;
  }

  #take(bytes: number): void {
    this.#leftBytes -= bytes;
    if (this.#leftBytes >= 0) return;
    throw new TarInvalidError(
      undefined,
      `its names, links and attributes take more than ${this.#bytesMax} bytes of memory`,
    );
  }
}
