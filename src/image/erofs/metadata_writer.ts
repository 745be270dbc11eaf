/**
 * Writes the part of an image after the file data: shared attributes, directories and inodes. Everything is placed
 * first, because directories point at inodes, and then written from front to back.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { roundUp } from "../../base/bytes.ts";
import { TreeInvalidError } from "../errors.ts";
import type { Pace } from "../stream/yielding.ts";
import { bytesOf } from "../tree/byte_string.ts";
import { encodeDirectory, sortNames } from "./directory_blocks.ts";
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
import type { InodeRow } from "./inode_row.ts";
import type { InodeTable } from "./inode_table.ts";
import { encodeChunkMap, INLINE_BYTES_MAX, type Storage } from "./stored_file.ts";
import { XattrPlanner, XattrProblem } from "./xattrs.ts";

/** Where the parts are, for the superblock. */
export interface MetadataPlace {
  readonly sharedXattrBlock: number;
  readonly metadataBlock: number;
  readonly rootSlot: number;
  readonly hasChunkedFiles: boolean;
}

export class MetadataWriter {
  readonly #storage: Storage;
  readonly #inodes: InodeTable;
  readonly #pace: Pace;
  readonly #xattrs = new XattrPlanner();

  constructor(storage: Storage, inodes: InodeTable, pace: Pace) {
    this.#storage = storage;
    this.#inodes = inodes;
    this.#pace = pace;
  }

  /** @throws {TreeInvalidError} An inode's attributes cannot be stored. */
  async write(): Promise<MetadataPlace> {
    await this.#planXattrs();
    const sharedXattrBlock = this.#writeSharedXattrs();
    const metadataBlock = await this.#placeData(this.#file.startBlock());
    await this.#placeInodes();
    await this.#writeData();
    assert(this.#file.startBlock() === metadataBlock, "the inodes start where they were placed");
    await this.#writeInodes(metadataBlock * BLOCK_BYTES);
    return {
      sharedXattrBlock,
      metadataBlock,
      rootSlot: this.#inodes.slots[0]!,
      hasChunkedFiles: this.#inodes.layouts.includes(LAYOUT_CHUNKED),
    };
  }

  get #file(): ImageFile {
    return this.#storage.file;
  }

  async #planXattrs(): Promise<void> {
    const { xattrs, xattrBytes } = this.#inodes;
    for (let row = 0; row < this.#inodes.count; row++) {
      const own = this.#inodes.xattrsOf(row);
      if (own.size === 0) continue;
      const planned = this.#naming(row, () => this.#xattrs.plan(own));
      xattrs.set(row, planned);
      if (this.#pace.isTurnOver()) await this.#pace.turn();
    }
    this.#xattrs.seal();
    for (const [row, planned] of xattrs) {
      xattrBytes[row] = this.#naming(row, () => this.#xattrs.sizeOf(planned));
      if (this.#pace.isTurnOver()) await this.#pace.turn();
    }
  }

  /** Adds the path of the inode to an error. */
  #naming<T>(row: InodeRow, operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      if (error instanceof XattrProblem) throw new TreeInvalidError(this.#inodes.pathOf(row), error.message);
      throw error;
    }
  }

  #writeSharedXattrs(): number {
    const block = this.#file.startBlock();
    for (const entry of this.#xattrs.sharedArea()) this.#file.append(entry);
    return block;
  }

  /** Chooses each inode's layout, and places directories and long links. Returns the next free block. */
  async #placeData(firstBlock: number): Promise<number> {
    const { locations } = this.#inodes;
    let nextBlock = firstBlock;
    for (let row = 0; row < this.#inodes.count; row++) {
      if (this.#pace.step()) await this.#pace.turn();
      if (this.#inodes.kind(row) === "file") {
        this.#placeStored(row);
        continue;
      }
      const node = this.#inodes.node(row);
      switch (node.kind) {
        case "directory":
        case "symlink":
          nextBlock += this.#placeWhole(row, nextBlock);
          break;
        case "characterDevice":
        case "blockDevice":
          locations[row] = encodeDeviceNumber(node.major, node.minor);
          break;
        default:
          break; // no data
      }
    }
    return nextBlock;
  }

  /** Places data that is not stored yet. Returns its number of blocks. */
  #placeWhole(row: InodeRow, block: number): number {
    const { layouts, locations, trailingBytes } = this.#inodes;
    const sizeBytes = this.#inodes.sizeBytes(row);
    const tailBytes = sizeBytes % BLOCK_BYTES;
    const isInline = tailBytes > 0 && tailBytes <= INLINE_BYTES_MAX;
    const blocks = isInline ? (sizeBytes - tailBytes) / BLOCK_BYTES : Math.ceil(sizeBytes / BLOCK_BYTES);
    layouts[row] = isInline ? LAYOUT_INLINE : LAYOUT_FLAT;
    trailingBytes[row] = isInline ? tailBytes : 0;
    locations[row] = blocks === 0 ? 0 : block;
    return blocks;
  }

  #placeStored(row: InodeRow): void {
    const { layouts, locations, trailingBytes } = this.#inodes;
    const sizeBytes = this.#inodes.sizeBytes(row);
    const chunks = this.#inodes.chunks(row);
    const tail = this.#inodes.tail(row);
    if (chunks !== undefined) {
      layouts[row] = LAYOUT_CHUNKED;
      locations[row] = Math.log2(chunks.chunkBytes) - BLOCK_BITS;
      trailingBytes[row] = Math.ceil(sizeBytes / chunks.chunkBytes) * CHUNK_ENTRY_BYTES;
      return;
    }
    layouts[row] = tail === undefined ? LAYOUT_FLAT : LAYOUT_INLINE;
    locations[row] = this.#inodes.firstBlock(row);
    trailingBytes[row] = tail === undefined ? 0 : sizeBytes % BLOCK_BYTES;
  }

  /** Assigns a slot to each inode. Data directly after an inode must not cross into another block. */
  async #placeInodes(): Promise<void> {
    const { layouts, slots, trailingBytes, xattrBytes } = this.#inodes;
    let position = 0;
    for (let row = 0; row < this.#inodes.count; row++) {
      if (this.#pace.step()) await this.#pace.turn();
      position = roundUp(position, SLOT_BYTES);
      const headBytes = INODE_BYTES + xattrBytes[row]!;
      if (layouts[row] === LAYOUT_INLINE) {
        while (((position + headBytes) % BLOCK_BYTES) + trailingBytes[row]! > BLOCK_BYTES)
          position += SLOT_BYTES;
      }
      slots[row] = position / SLOT_BYTES;
      position += headBytes + trailingBytes[row]!;
    }
  }

  /** Writes the blocks of directories and long links, in the sequence in which they were placed. */
  async #writeData(): Promise<void> {
    const { layouts, locations, trailingBytes } = this.#inodes;
    for (let row = 0; row < this.#inodes.count; row++) {
      if (this.#pace.step()) await this.#pace.turn();
      const kind = this.#inodes.kind(row);
      if (kind !== "directory" && kind !== "symlink") continue;
      const sizeBytes = this.#inodes.sizeBytes(row);
      const bodyBytes = layouts[row] === LAYOUT_INLINE ? sizeBytes - trailingBytes[row]! : sizeBytes;
      if (bodyBytes === 0) continue;
      assert(this.#file.startBlock() === locations[row], "data is written where it was placed");
      const node = this.#inodes.node(row);
      if (node.kind === "symlink") {
        this.#file.append(bytesOf(node.target));
        continue;
      }
      let written = 0;
      for (const block of await this.#encodeDirectory(row, 0)) {
        if (this.#pace.isTurnOver()) await this.#pace.turn();
        if (written < bodyBytes) this.#file.append(block);
        written += block.length;
      }
      assert(written === sizeBytes, "a directory has its planned size");
    }
  }

  async #writeInodes(originBytes: number): Promise<void> {
    const { layouts, locations, slots, trailingBytes, xattrBytes, xattrs } = this.#inodes;
    const encoder = new InodeEncoder();
    const fields = { number: 0, linkCount: 0, sizeBytes: 0, layout: 0, location: 0, xattrBytes: 0 };
    for (let row = 0; row < this.#inodes.count; row++) {
      if (this.#pace.step()) await this.#pace.turn();
      this.#file.appendZeros(originBytes + slots[row]! * SLOT_BYTES - this.#file.positionBytes);
      fields.number = row + 1;
      fields.linkCount = this.#inodes.linkCount(row);
      fields.sizeBytes = this.#inodes.sizeBytes(row);
      fields.layout = layouts[row]!;
      fields.location = locations[row]!;
      fields.xattrBytes = xattrBytes[row]!;
      this.#file.append(encoder.encode(this.#inodes.node(row), fields));
      const planned = xattrs.get(row);
      if (planned !== undefined) this.#file.append(this.#xattrs.encode(planned));
      if (trailingBytes[row]! > 0) await this.#appendTrailing(row);
    }
  }

  /** Writes what follows the inode and its attributes. */
  async #appendTrailing(row: InodeRow): Promise<void> {
    if (this.#inodes.kind(row) === "file") {
      this.#appendFileEnd(row);
      return;
    }
    const node = this.#inodes.node(row);
    if (node.kind === "symlink") {
      this.#file.append(bytesOf(node.target));
    } else {
      const { lastBlockStart } = this.#inodes.directories.get(row)!;
      for (const block of await this.#encodeDirectory(row, lastBlockStart)) this.#file.append(block);
    }
  }

  #appendFileEnd(row: InodeRow): void {
    const chunks = this.#inodes.chunks(row);
    if (chunks === undefined) {
      this.#storage.tails.appendTo(this.#file, this.#inodes.tail(row)!, this.#inodes.trailingBytes[row]!);
    } else {
      this.#file.append(encodeChunkMap(chunks, this.#inodes.sizeBytes(row)));
    }
  }

  async #encodeDirectory(row: InodeRow, from: number): Promise<Iterable<Uint8Array>> {
    const { slots } = this.#inodes;
    const directory = this.#inodes.node(row);
    assert(directory.kind === "directory", "the node is a directory");
    return encodeDirectory(await sortNames(directory.entries.keys(), this.#pace), from, {
      rowOf: (index) => this.#inodes.child(row, index),
      slotOf: (target) => slots[target]!,
      typeOf: (target) => DIRENT_TYPE[this.#inodes.kind(target)],
    });
  }
}
