/**
 * Metadata checksums: bare CRC-32C registers, each started from a seed that names the file system, and for what
 * belongs to an inode also that inode, so that a block which lands in the wrong place is noticed.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Checksums".
 *
 * @module
 */
import { updateCrc32c } from "../../base/crc32c.ts";
import { viewOf } from "./little_endian.ts";

export const CHECKSUM_START = 0xffff_ffff;

/** Starts every checksum of one file system, other than those of its superblock and journal. */
export function fileSystemSeed(uuid: Uint8Array): number {
  return updateCrc32c(CHECKSUM_START, uuid);
}

/** Starts the checksums of an inode and of its directory and extent blocks. Our inodes are all of generation 0. */
export function inodeSeed(seed: number, inodeNumber: number): number {
  return updateNumber(updateNumber(seed, inodeNumber), 0);
}

/** Adds `value` as four little-endian bytes. */
export function updateNumber(register: number, value: number): number {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value, true);
  return updateCrc32c(register, bytes);
}
