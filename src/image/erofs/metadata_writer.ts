/**
 * The part of an image behind the file data: shared attributes, directories, inodes. Everything gets its place first,
 * as directories point at inodes, and is then written from front to back.
 *
 * @module
 */
import { assert, unreachable } from "../../base/assert.ts";
import { roundUp } from "../../base/bytes.ts";
import { bytesOf } from "../byte_string.ts";
import { TreeInvalidError } from "../errors.ts";
import type { Pace } from "../pace.ts";
import type { FileNode, TreeNode } from "../tree.ts";
import { type DirectoryTarget, encodeDirectory } from "./directory_blocks.ts";
import {
  BLOCK_BITS,
  BLOCK_BYTES,
  CHUNK_ENTRY_BYTES,
  DIRENT_TYPE,
  encodeDeviceNumber,
  INODE_BYTES,
  InodeEncoder,
  LAYOUT_CHUNKED,
  LAYOUT_FLAT,
  LAYOUT_INLINE,
  SLOT_BYTES,
} from "./format.ts";
import type { ImageFile } from "./image_file.ts";
import type { InodePlan, InodePlans } from "./inode_plan.ts";
import { INLINE_BYTES_MAX, type Storage, type StoredFile } from "./stored_file.ts";
import { XattrPlanner, XattrProblem } from "./xattrs.ts";

/** Where the parts are, for the superblock. */
export interface MetadataPlace {
  readonly sharedXattrBlock: number;
  readonly metadataBlock: number;
  readonly rootSlot: number;
  readonly hasChunkedFiles: boolean;
}

/** Gives the stored data of a file node. */
export type FindStored = (node: FileNode) => StoredFile;

export class MetadataWriter {
  readonly #storage: Storage;
  readonly #plans: InodePlans;
  readonly #findStored: FindStored;
  readonly #pace: Pace;
  readonly #xattrs = new XattrPlanner();

  constructor(storage: Storage, plans: InodePlans, findStored: FindStored, pace: Pace) {
    this.#storage = storage;
    this.#plans = plans;
    this.#findStored = findStored;
    this.#pace = pace;
  }

  /** @throws {TreeInvalidError} An inode's attributes cannot be stored. */
  async write(): Promise<MetadataPlace> {
    this.#planXattrs();
    const sharedXattrBlock = this.#writeSharedXattrs();
    const metadataBlock = this.#placeData(this.#file.startBlock());
    this.#placeInodes();
    await this.#writeData();
    assert(this.#file.startBlock() === metadataBlock, "the inodes start where they were placed");
    await this.#writeInodes(metadataBlock * BLOCK_BYTES);
    return {
      sharedXattrBlock,
      metadataBlock,
      rootSlot: this.#plans.list[0]!.slot,
      hasChunkedFiles: this.#plans.list.some(({ layout }) => layout === LAYOUT_CHUNKED),
    };
  }

  get #file(): ImageFile {
    return this.#storage.file;
  }

  #planXattrs(): void {
    for (const plan of this.#plans.list) {
      plan.xattrs = namingPath(plan, () => this.#xattrs.plan(plan.node.xattrs));
    }
    this.#xattrs.seal();
    for (const plan of this.#plans.list) {
      plan.xattrBytes = namingPath(plan, () => this.#xattrs.sizeOf(plan.xattrs));
    }
  }

  #writeSharedXattrs(): number {
    const block = this.#file.startBlock();
    for (const entry of this.#xattrs.sharedArea()) this.#file.append(entry);
    return block;
  }

  /** Chooses each inode's layout, and gives directories and long links their blocks. Gives the next free block. */
  #placeData(firstBlock: number): number {
    let nextBlock = firstBlock;
    for (const plan of this.#plans.list) {
      const { node } = plan;
      switch (node.kind) {
        case "directory":
          nextBlock += placeWhole(plan, plan.directory!.sizeBytes, nextBlock);
          break;
        case "symlink":
          nextBlock += placeWhole(plan, node.target.length, nextBlock);
          break;
        case "file":
          placeStored(plan, this.#findStored(node));
          break;
        case "characterDevice":
        case "blockDevice":
          plan.location = encodeDeviceNumber(node.major, node.minor);
          break;
        case "fifo":
        case "socket":
          break;
        default:
          unreachable(node);
      }
    }
    return nextBlock;
  }

  /** Gives each inode its slot. Data directly behind an inode may not cross into another block. */
  #placeInodes(): void {
    let position = 0;
    for (const plan of this.#plans.list) {
      position = roundUp(position, SLOT_BYTES);
      const headBytes = INODE_BYTES + plan.xattrBytes;
      if (plan.layout === LAYOUT_INLINE) {
        while (((position + headBytes) % BLOCK_BYTES) + plan.trailingBytes > BLOCK_BYTES)
          position += SLOT_BYTES;
      }
      plan.slot = position / SLOT_BYTES;
      position += headBytes + plan.trailingBytes;
    }
  }

  /** The blocks of directories and long links, in the order in which they were placed. */
  async #writeData(): Promise<void> {
    for (const plan of this.#plans.list) {
      if (this.#pace.step()) await this.#pace.turn();
      const { node } = plan;
      if (node.kind !== "directory" && node.kind !== "symlink") continue;
      const sizeBytes = plan.sizeBytes;
      const bodyBytes = plan.layout === LAYOUT_INLINE ? sizeBytes - plan.trailingBytes : sizeBytes;
      if (bodyBytes === 0) continue;
      assert(this.#file.startBlock() === plan.location, "data is written where it was placed");
      if (node.kind === "symlink") {
        this.#file.append(bytesOf(node.target));
        continue;
      }
      let written = 0;
      for (const block of this.#encodeDirectory(plan, 0)) {
        if (written < bodyBytes) this.#file.append(block);
        written += block.length;
      }
      assert(written === sizeBytes, "a directory has its planned size");
    }
  }

  async #writeInodes(originBytes: number): Promise<void> {
    const encoder = new InodeEncoder();
    for (const plan of this.#plans.list) {
      if (this.#pace.step()) await this.#pace.turn();
      this.#file.appendZeros(originBytes + plan.slot * SLOT_BYTES - this.#file.positionBytes);
      this.#file.append(encoder.encode(plan.node, plan));
      if (plan.xattrs) this.#file.append(this.#xattrs.encode(plan.xattrs));
      if (plan.trailingBytes > 0) this.#file.append(this.#trailing(plan));
    }
  }

  /** What stands behind the inode and its attributes. */
  #trailing(plan: InodePlan): Uint8Array {
    const { node } = plan;
    if (node.kind === "symlink") return bytesOf(node.target);
    if (node.kind === "directory") {
      const [block] = this.#encodeDirectory(plan, plan.directory!.lastBlockStart);
      return block!;
    }
    assert(node.kind === "file", "only files, directories and links have data");
    const stored = this.#findStored(node);
    if (plan.layout === LAYOUT_CHUNKED) return stored.encodeChunkMap();
    return this.#storage.tails.view(stored.tail!, plan.trailingBytes);
  }

  #encodeDirectory(plan: InodePlan, from: number): Iterable<Uint8Array> {
    const { node } = plan;
    assert(node.kind === "directory", "the node is a directory");
    const target = (child: TreeNode): DirectoryTarget => ({
      slot: this.#plans.byNode.get(child)!.slot,
      type: DIRENT_TYPE[child.kind],
    });
    return encodeDirectory(plan.directory!, from, (name) => {
      if (name === ".") return target(node);
      if (name === "..") return target(plan.parent?.node ?? node);
      return target(node.entries.get(name)!);
    });
  }
}

function namingPath<T>(plan: InodePlan, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    if (error instanceof XattrProblem) throw new TreeInvalidError(plan.path, error.message);
    throw error;
  }
}

/** Places data of which nothing is stored yet. Gives how many blocks it takes. */
function placeWhole(plan: InodePlan, sizeBytes: number, block: number): number {
  const tailBytes = sizeBytes % BLOCK_BYTES;
  const isInline = tailBytes > 0 && tailBytes <= INLINE_BYTES_MAX;
  const blocks = isInline ? (sizeBytes - tailBytes) / BLOCK_BYTES : Math.ceil(sizeBytes / BLOCK_BYTES);
  plan.layout = isInline ? LAYOUT_INLINE : LAYOUT_FLAT;
  plan.trailingBytes = isInline ? tailBytes : 0;
  plan.location = blocks === 0 ? 0 : block;
  return blocks;
}

function placeStored(plan: InodePlan, stored: StoredFile): void {
  if (stored.chunks !== undefined) {
    const { chunkBytes } = stored.chunks;
    plan.layout = LAYOUT_CHUNKED;
    plan.location = Math.log2(chunkBytes) - BLOCK_BITS;
    plan.trailingBytes = Math.ceil(stored.sizeBytes / chunkBytes) * CHUNK_ENTRY_BYTES;
    return;
  }
  plan.location = stored.firstBlock;
  plan.layout = stored.tail === undefined ? LAYOUT_FLAT : LAYOUT_INLINE;
  plan.trailingBytes = stored.tail === undefined ? 0 : stored.sizeBytes % BLOCK_BYTES;
}
