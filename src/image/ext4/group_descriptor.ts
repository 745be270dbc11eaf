/**
 * Encodes group descriptors of 64 bytes, and decides which parts of a group need not be written.
 *
 * Source: Linux, Documentation/filesystems/ext4: "Block Group Descriptors", "Lazy Block Group Initialization".
 *
 * @module
 */
import { updateCrc32c } from "../../base/crc32c.ts";
import { updateNumber } from "./checksum.ts";
import { DESCRIPTOR_BYTES } from "./constants.ts";
import type { GroupPlaces } from "./layout.ts";
import { highHalf, lowHalf, viewOf } from "./little_endian.ts";

const CHECKSUM_OFFSET = 0x1e;

const FLAG_INODE_UNINIT = 0x1;
const FLAG_BLOCK_UNINIT = 0x2;
/** The table reads as zeros, as it does in a sparse file: spares the guest the thread that would zero it. */
const FLAG_INODE_TABLE_ZEROED = 0x4;

/** One block group as its descriptor tells it. */
export interface GroupDescriptor {
  readonly places: GroupPlaces;
  readonly freeBlocks: number;
  readonly freeInodes: number;
  readonly usedDirectories: number;
  /** Of the block bitmap; `undefined` leaves it to the kernel to compute that bitmap. */
  readonly blockBitmapChecksum: number | undefined;
  /** Of the inode bitmap; `undefined` says that no inode of the group is in use. */
  readonly inodeBitmapChecksum: number | undefined;
}

/** Writes the descriptor of `group` into `bytes`, its 64 zeroed bytes of the table. `seed` is the file system's. */
export function writeGroupDescriptor(
  bytes: Uint8Array,
  group: number,
  descriptor: GroupDescriptor,
  seed: number,
): void {
  const view = viewOf(bytes);
  const { blockBitmap, inodeBitmap, inodeTable } = descriptor.places;
  const blockBitmapChecksum = descriptor.blockBitmapChecksum ?? 0;
  const inodeBitmapChecksum = descriptor.inodeBitmapChecksum ?? 0;
  view.setUint32(0x0, lowHalf(blockBitmap), true);
  view.setUint32(0x4, lowHalf(inodeBitmap), true);
  view.setUint32(0x8, lowHalf(inodeTable), true);
  view.setUint16(0xc, descriptor.freeBlocks, true);
  view.setUint16(0xe, descriptor.freeInodes, true);
  view.setUint16(0x10, descriptor.usedDirectories, true);
  view.setUint16(0x12, flagsOf(descriptor), true);
  view.setUint16(0x18, blockBitmapChecksum & 0xffff, true);
  view.setUint16(0x1a, inodeBitmapChecksum & 0xffff, true);
  // Inodes are handed out from the first, so all that are free were never used.
  view.setUint16(0x1c, descriptor.freeInodes, true);
  view.setUint32(0x20, highHalf(blockBitmap), true);
  view.setUint32(0x24, highHalf(inodeBitmap), true);
  view.setUint32(0x28, highHalf(inodeTable), true);
  view.setUint16(0x38, blockBitmapChecksum >>> 16, true);
  view.setUint16(0x3a, inodeBitmapChecksum >>> 16, true);
  const checksum = updateCrc32c(updateNumber(seed, group), bytes.subarray(0, DESCRIPTOR_BYTES));
  view.setUint16(CHECKSUM_OFFSET, checksum & 0xffff, true);
}

function flagsOf({ blockBitmapChecksum, inodeBitmapChecksum }: GroupDescriptor): number {
  return (
    FLAG_INODE_TABLE_ZEROED |
    (blockBitmapChecksum === undefined ? FLAG_BLOCK_UNINIT : 0) |
    (inodeBitmapChecksum === undefined ? FLAG_INODE_UNINIT : 0)
  );
}
