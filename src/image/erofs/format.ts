/**
 * The EROFS on-disk format, as far as uncompressed images need it: numbers, and encoders of its fixed structures.
 * All fields are little-endian.
 *
 * Source: Linux, `Documentation/filesystems/erofs.rst` and `fs/erofs/erofs_fs.h`. Every feature used here is known to
 * Linux 5.15 and to erofs-utils 1.4.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import type { TreeNode } from "../tree/tree.ts";

export const BLOCK_BYTES = 4096;
export const BLOCK_BITS = 12;

/** A node's number (nid) counts slots of this size from the start of the metadata area. */
export const SLOT_BYTES = 32;
/** Size of an extended inode, the only kind written: the compact one has no time of its own. */
export const INODE_BYTES = 64;
export const DIRENT_BYTES = 12;

/** Block addresses are 32 bits wide, and the highest one stands for a hole. */
export const BLOCKS_MAX = 0xffff_ffff;
/** Marks a hole in a chunk map. */
export const HOLE_ADDRESS = 0xffff_ffff;
/** A chunk map has an entry of this size for each chunk. */
export const CHUNK_ENTRY_BYTES = 4;

/** How an inode's data is stored. */
export const LAYOUT_FLAT = 0;
/** Whole blocks elsewhere, and the rest directly behind the inode. */
export const LAYOUT_INLINE = 2;
/** A map of chunks behind the inode; a chunk may be a hole. */
export const LAYOUT_CHUNKED = 4;

const SUPERBLOCK_OFFSET = 1024;
const SUPERBLOCK_MAGIC = 0xe0f5_e1e2;
const FEATURE_COMPAT_CHECKSUM = 0x1;
const FEATURE_COMPAT_MTIME = 0x2;
const FEATURE_INCOMPAT_CHUNKED_FILE = 0x4;
const VOLUME_NAME_BYTES_MAX = 16;

/** The file type bits of `i_mode`. */
const MODE_TYPE: Record<TreeNode["kind"], number> = {
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
};

/** The file type in a directory entry: Linux's `FT_*`. */
export const DIRENT_TYPE: Record<TreeNode["kind"], number> = {
  file: 1,
  directory: 2,
  characterDevice: 3,
  blockDevice: 4,
  fifo: 5,
  socket: 6,
  symlink: 7,
};

export interface Superblock {
  /** Slot of the root directory: 16 bits. */
  readonly rootSlot: number;
  readonly inodeCount: number;
  readonly blockCount: number;
  readonly metadataBlock: number;
  readonly sharedXattrBlock: number;
  readonly hasChunkedFiles: boolean;
  /** At most 16 bytes. */
  readonly volumeName: Uint8Array;
}

/** Whether `bytes`, the start of a file, are an EROFS image's. */
export function isErofs(bytes: Uint8Array): boolean {
  if (bytes.length < SUPERBLOCK_OFFSET + 4) return false;
  return viewOf(bytes).getUint32(SUPERBLOCK_OFFSET, true) === SUPERBLOCK_MAGIC;
}

/** The image's first block: the superblock, with its checksum. The volume's UUID and build time stay zero. */
export function encodeFirstBlock(superblock: Superblock): Uint8Array {
  assert(superblock.rootSlot <= 0xffff, "the root's slot fits 16 bits");
  assert(superblock.volumeName.length <= VOLUME_NAME_BYTES_MAX, "the volume's name fits its field");
  const block = new Uint8Array(BLOCK_BYTES);
  const view = new DataView(block.buffer, SUPERBLOCK_OFFSET);
  view.setUint32(0, SUPERBLOCK_MAGIC, true);
  view.setUint32(8, FEATURE_COMPAT_CHECKSUM | FEATURE_COMPAT_MTIME, true);
  view.setUint8(12, BLOCK_BITS);
  view.setUint16(14, superblock.rootSlot, true);
  setInteger64(view, 16, superblock.inodeCount);
  view.setUint32(36, superblock.blockCount, true);
  view.setUint32(40, superblock.metadataBlock, true);
  view.setUint32(44, superblock.sharedXattrBlock, true);
  block.set(superblock.volumeName, SUPERBLOCK_OFFSET + 64);
  view.setUint32(80, superblock.hasChunkedFiles ? FEATURE_INCOMPAT_CHUNKED_FILE : 0, true);
  view.setUint32(4, updateCrc32c(0xffff_ffff, block.subarray(SUPERBLOCK_OFFSET)), true);
  return block;
}

export interface InodeFields {
  readonly layout: number;
  /** Size of the attributes behind the inode, header included; 0 or at least 12 + 4. */
  readonly xattrBytes: number;
  readonly sizeBytes: number;
  /** First block of the data, chunk format, or device number: what the layout and type ask for. */
  readonly location: number;
  readonly number: number;
  readonly linkCount: number;
}

/** Encodes extended inodes (`struct erofs_inode_extended`), all in the same place: an image has very many. */
export class InodeEncoder {
  readonly #bytes = new Uint8Array(INODE_BYTES);
  readonly #view = viewOf(this.#bytes);

  /** The bytes are good until the next call. */
  encode(node: TreeNode, fields: InodeFields): Uint8Array {
    const view = this.#view;
    view.setUint16(0, 1 | (fields.layout << 1), true);
    view.setUint16(2, fields.xattrBytes === 0 ? 0 : (fields.xattrBytes - 12) / 4 + 1, true);
    view.setUint16(4, MODE_TYPE[node.kind] | node.mode, true);
    setInteger64(view, 8, fields.sizeBytes);
    view.setUint32(16, fields.location, true);
    view.setUint32(20, fields.number, true);
    view.setUint32(24, node.uid, true);
    view.setUint32(28, node.gid, true);
    setInteger64(view, 32, node.mtimeSeconds);
    view.setUint32(40, node.mtimeNanoseconds, true);
    view.setUint32(44, fields.linkCount, true);
    return this.#bytes;
  }
}

/** A safe integer in two's complement, without a bigint. */
function setInteger64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true); // wraps, also a negative remainder
  view.setInt32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** Linux's 32-bit device number, with 12 bits of major and 20 bits of minor (`new_encode_dev`). */
export function encodeDeviceNumber(major: number, minor: number): number {
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
