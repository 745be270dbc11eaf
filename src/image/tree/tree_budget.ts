/**
 * Bounds the memory of one image's file tree. A tar of a few kilobytes can ask for gigabytes: by names, link targets
 * and attributes that compress well, and by directories that it only implies.
 *
 * Costs are estimates on the safe side for both runtimes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { MiB } from "../../base/bytes.ts";
import { TarInvalidError } from "../errors.ts";
import { type ByteString, NO_XATTRS, type TreeNode } from "./tree.ts";

/** Most memory for the tree of one image, including all its layers, in bytes: enough for about two million files. */
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
/** Names and values exist twice: in the tree, and encoded for the disk. */
const XATTR_COPIES = 2;

type Xattrs = TreeNode["xattrs"];

/** Memory that an image's tree has left. Removing a node gives nothing back. */
export class TreeBudget {
  readonly #bytesMax: number;
  #leftBytes: number;
  /** Sets of attributes by their hash. */
  readonly #xattrSets = new Map<string, Xattrs>();

  constructor(bytesMax: number = TREE_BYTES_MAX) {
    this.#bytesMax = bytesMax;
    this.#leftBytes = bytesMax;
  }

  /** Charges for a name in a directory. @throws {TarInvalidError} */
  takeEntry(name: ByteString): void {
    this.#take(ENTRY_BYTES + name.length);
  }

  /** Charges for a new inode, without its name and attributes. @throws {TarInvalidError} */
  takeNode(node: TreeNode): void {
    const ownBytes = node.kind === "symlink" ? node.target.length : 0;
    this.#take(
      NODE_BYTES[node.kind] + ownBytes + (node.kind === "file" ? (node.content.memoryBytes ?? 0) : 0),
    );
  }

  /**
   * Returns one shared object for equal sets of attributes, and charges for it once. Files of an image tend to have the
   * same few sets.
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
