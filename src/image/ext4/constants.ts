/**
 * Numbers of the ext4 format that more than one file here needs. Names follow the kernel's, without the prefix.
 *
 * Source: Linux, Documentation/filesystems/ext4: "Blocks", "Block Groups", "Super Block", "Special inodes".
 *
 * @module
 */

/** The only block size that is written: every page size of x86_64 and most of aarch64 mount it. */
export const BLOCK_BYTES = 4096;
export const INODE_BYTES = 256;
export const INODES_PER_BLOCK = BLOCK_BYTES / INODE_BYTES;
export const DESCRIPTOR_BYTES = 64;

/** As many blocks as one block of bitmap has bits: 128 MiB. */
export const BLOCKS_PER_GROUP = 8 * BLOCK_BYTES;
/** Bitmaps and inode tables of this many groups lie together in the first of them (flex_bg). */
export const GROUPS_PER_FLEX = 16;
export const GROUPS_PER_FLEX_LOG2 = 4;

/** Special inodes. Numbers start at 1; those below {@linkcode FIRST_ORDINARY_INODE} are reserved. */
export const ROOT_INODE = 2;
export const JOURNAL_INODE = 8;
export const FIRST_ORDINARY_INODE = 11;
/** By custom the first ordinary inode. */
export const LOST_AND_FOUND_INODE = FIRST_ORDINARY_INODE;

export const SUPERBLOCK_OFFSET_BYTES = 1024;
export const SUPERBLOCK_BYTES = 1024;

export const COMPATIBLE = {
  hasJournal: 0x4,
  extendedAttributes: 0x8,
  directoryIndex: 0x20,
} as const;

export const INCOMPATIBLE = {
  fileType: 0x2,
  recover: 0x4,
  extents: 0x40,
  is64Bit: 0x80,
  flexGroups: 0x200,
} as const;

export const READ_ONLY_COMPATIBLE = {
  sparseSuper: 0x1,
  largeFile: 0x2,
  hugeFile: 0x8,
  directoryLinks: 0x20,
  extraInodeSize: 0x40,
  metadataChecksums: 0x400,
} as const;
