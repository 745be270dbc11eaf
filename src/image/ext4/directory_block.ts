/**
 * Blocks of a linear directory: entries that fill the block, then a tail in the shape of an entry for the checksum.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Linear (Classic) Directories".
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { type Bytes, encodeUtf8, roundUp } from "../../base/bytes.ts";
import { updateCrc32c } from "../../base/crc32c.ts";
import { BLOCK_BYTES } from "./constants.ts";
import { viewOf } from "./little_endian.ts";

const ENTRY_HEADER_BYTES = 8;
const ENTRY_ALIGNMENT_BYTES = 4;
const TAIL_BYTES = 12;
const TAIL_FILE_TYPE = 0xde;
const FILE_TYPE_DIRECTORY = 2;

export const NAME_BYTES_MAX = 255;
/** What the entries of one block may take together, as {@linkcode entryBytes} counts. */
export const ENTRIES_BYTES_MAX = BLOCK_BYTES - TAIL_BYTES;

/** A subdirectory; there are no other entries in a new file system. */
export interface DirectoryEntry {
  readonly name: Uint8Array;
  readonly inode: number;
}

/** The space that an entry needs. */
export function entryBytes(name: Uint8Array): number {
  return roundUp(ENTRY_HEADER_BYTES + name.length, ENTRY_ALIGNMENT_BYTES);
}

/** The two entries that every directory starts with. */
export function dotEntries(inode: number, parent: number): readonly DirectoryEntry[] {
  return [
    { name: encodeUtf8("."), inode },
    { name: encodeUtf8(".."), inode: parent },
  ];
}

/** `seed` is that of the directory's inode. Without entries, the block is free space for later ones. */
export function encodeDirectoryBlock(entries: readonly DirectoryEntry[], seed: number): Bytes {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const lastIndex = Math.max(0, entries.length - 1);
  let offset = 0;
  for (const entry of entries.slice(0, lastIndex)) {
    writeEntry(bytes, offset, entryBytes(entry.name), entry);
    offset += entryBytes(entry.name);
  }
  const last = entries[lastIndex] ?? { name: new Uint8Array(0), inode: 0 };
  assert(offset + entryBytes(last.name) <= ENTRIES_BYTES_MAX, "entries fit into their block");
  writeEntry(bytes, offset, ENTRIES_BYTES_MAX - offset, last);
  writeTail(bytes, seed);
  return bytes;
}

function writeEntry(bytes: Uint8Array, offset: number, lengthBytes: number, entry: DirectoryEntry): void {
  const view = viewOf(bytes);
  view.setUint32(offset, entry.inode, true);
  view.setUint16(offset + 0x4, lengthBytes, true);
  view.setUint8(offset + 0x6, entry.name.length);
  view.setUint8(offset + 0x7, entry.inode === 0 ? 0 : FILE_TYPE_DIRECTORY);
  bytes.set(entry.name, offset + ENTRY_HEADER_BYTES);
}

function writeTail(bytes: Uint8Array, seed: number): void {
  const view = viewOf(bytes);
  view.setUint16(ENTRIES_BYTES_MAX + 0x4, TAIL_BYTES, true);
  view.setUint8(ENTRIES_BYTES_MAX + 0x7, TAIL_FILE_TYPE);
  view.setUint32(ENTRIES_BYTES_MAX + 0x8, updateCrc32c(seed, bytes.subarray(0, ENTRIES_BYTES_MAX)), true);
}
