/**
 * Encodes directories: blocks with an array of entries, followed by their names. Entries are sorted by bytes over the
 * whole directory, so that the kernel can use binary search.
 *
 * Source: Linux, `Documentation/filesystems/erofs.rst`, "Directories".
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { Pace } from "../stream/yielding.ts";
import type { ByteString } from "../tree/tree.ts";
import { BLOCK_BYTES, DIRENT_BYTES } from "./format.ts";
import type { InodeRow } from "./inode_row.ts";

/**
 * How a directory's names are divided into blocks. The names themselves are not kept, because those of all directories
 * would take much memory.
 */
export interface DirectoryPlan {
  readonly sizeBytes: number;
  /** Index of the first name in the last block. */
  readonly lastBlockStart: number;
}

/** What a directory's entries point at. */
export interface DirectoryTargets {
  /** @param index The name's place among the sorted names. */
  rowOf(index: number): InodeRow;
  slotOf(row: InodeRow): number;
  typeOf(row: InodeRow): number;
}

/** Most names to sort at once: a few milliseconds of work. */
const SORTED_AT_ONCE_MAX = 8192;

/**
 * Returns the names of a directory sorted by bytes, with `"."` and `".."`. A directory may have millions of names, so
 * other work may run in between.
 */
export async function sortNames(entryNames: Iterable<ByteString>, pace: Pace): Promise<ByteString[]> {
  const names = [".", "..", ...entryNames];
  let runs: ByteString[][] = [];
  for (let at = 0; at < names.length; at += SORTED_AT_ONCE_MAX) {
    runs.push(names.slice(at, at + SORTED_AT_ONCE_MAX).sort()); // UTF-16 order, which for byte strings is byte order
    if (pace.isTurnOver()) await pace.turn();
  }
  while (runs.length > 1) {
    const merged: ByteString[][] = [];
    for (let at = 0; at < runs.length; at += 2) {
      merged.push(await mergeRuns(runs[at]!, runs[at + 1] ?? [], pace));
    }
    runs = merged;
  }
  return runs[0]!;
}

async function mergeRuns(
  left: readonly ByteString[],
  right: readonly ByteString[],
  pace: Pace,
): Promise<ByteString[]> {
  const merged: ByteString[] = [];
  let [leftAt, rightAt] = [0, 0];
  while (leftAt < left.length || rightAt < right.length) {
    const isLeft = rightAt === right.length || (leftAt < left.length && left[leftAt]! <= right[rightAt]!);
    merged.push(isLeft ? left[leftAt++]! : right[rightAt++]!);
    if (pace.step()) await pace.turn();
  }
  return merged;
}

/** @param names Sorted by {@linkcode sortNames}. */
export function planDirectory(names: readonly ByteString[]): DirectoryPlan {
  let fullBytes = 0;
  let lastBlockStart = 0;
  let usedBytes = 0;
  for (let index = 0; index < names.length; index++) {
    const entryBytes = DIRENT_BYTES + names[index]!.length;
    if (usedBytes + entryBytes > BLOCK_BYTES) {
      fullBytes += BLOCK_BYTES;
      usedBytes = 0;
      lastBlockStart = index;
    }
    usedBytes += entryBytes;
  }
  return { sizeBytes: fullBytes + usedBytes, lastBlockStart };
}

/**
 * Yields the directory's blocks, starting with the one whose first name is `from`. The last block is no longer than
 * necessary.
 *
 * @param names Sorted by {@linkcode sortNames}.
 */
export function* encodeDirectory(
  names: readonly ByteString[],
  from: number,
  targets: DirectoryTargets,
): Iterable<Uint8Array> {
  let start = from;
  while (start < names.length) {
    let end = start;
    let usedBytes = 0;
    while (end < names.length && usedBytes + DIRENT_BYTES + names[end]!.length <= BLOCK_BYTES) {
      usedBytes += DIRENT_BYTES + names[end]!.length;
      end++;
    }
    const isLast = end === names.length;
    yield encodeBlock(names, start, end, isLast ? usedBytes : BLOCK_BYTES, targets);
    start = end;
  }
}

function encodeBlock(
  names: readonly ByteString[],
  start: number,
  end: number,
  sizeBytes: number,
  targets: DirectoryTargets,
): Uint8Array {
  const block = Buffer.alloc(sizeBytes);
  let nameOffset = (end - start) * DIRENT_BYTES;
  for (let index = start; index < end; index++) {
    const name = names[index]!;
    const row = targets.rowOf(index);
    const slot = targets.slotOf(row);
    const at = (index - start) * DIRENT_BYTES;
    block.writeUInt32LE(slot % 2 ** 32, at);
    block.writeUInt32LE(Math.floor(slot / 2 ** 32), at + 4);
    block.writeUInt16LE(nameOffset, at + 8);
    block[at + 10] = targets.typeOf(row);
    nameOffset += block.write(name, nameOffset, "latin1");
  }
  return block;
}
