/**
 * The content of an open file of the host, in parts that fit a message, with its holes.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type BigIntStats, read, readSync } from "node:fs";

/** `st_blocks` counts these, whatever the file system's own are. */
const STATUS_BLOCK_BYTES = 512n;
/** Runs of zeros that are at least this long and begin at a multiple of it are holes. */
const HOLE_BYTES = 4096;

/** A part of a file's content. */
export type ContentPart =
  /** The bytes are valid until the next part is asked for. */
  { readonly kind: "data"; readonly data: Buffer } | { readonly kind: "hole"; readonly sizeBytes: number };

/**
 * The whole content of a file of that size, if `buffer` holds it; `undefined` otherwise. A file that has grown is read as far
 * as its size was; one of size 0 to its end, as files of /proc have no size and hold something all the same.
 */
export function readWhole(descriptor: number, buffer: Buffer, sizeBytes: number): Buffer | undefined {
  if (sizeBytes > buffer.length) return undefined;
  const limit = sizeBytes === 0 ? buffer.length : sizeBytes;
  let size = 0;
  while (size < limit) {
    const count = readSync(descriptor, buffer, size, limit - size, size);
    if (count === 0) break;
    size += count;
  }
  const isPerhapsMore = sizeBytes === 0 && size === limit;
  return isPerhapsMore ? undefined : buffer.subarray(0, size);
}

/**
 * Whether a file may have holes: it has less on the disk than its size. That also holds for compressed files, and for some
 * that are about to be written, so the number says only whether to look for zeros.
 */
export function mayHaveHoles({ size, blocks }: BigIntStats): boolean {
  return size > HOLE_BYTES && blocks * STATUS_BLOCK_BYTES < size;
}

/**
 * Reads a file to its end, but no further than `sizeBytes`: one that grows all the time has no end. While one part is used
 * the next is read.
 *
 * @param partBytes Largest part; a multiple of 4,096.
 */
export async function* readContent(
  descriptor: number,
  partBytes: number,
  sizeBytes: number,
  looksForHoles: boolean,
): AsyncGenerator<ContentPart, void, void> {
  const buffers = [Buffer.allocUnsafe(partBytes), Buffer.allocUnsafe(partBytes)] as const;
  let offset = 0;
  const start = (buffer: Buffer) => {
    const part = readPart(descriptor, buffer, Math.min(partBytes, sizeBytes - offset), offset);
    part.catch(() => {}); // it is awaited when its turn comes
    return part;
  };
  let next = start(buffers[0]);
  try {
    for (let number = 1; ; number++) {
      const data = await next;
      if (data.length === 0) return;
      offset += data.length;
      next = start(buffers[number % 2 === 0 ? 0 : 1]);
      if (looksForHoles) yield* splitHoles(data);
      else yield { kind: "data", data };
    }
  } finally {
    await next.catch(() => {}); // the descriptor is closed next: nothing may read from it then
  }
}

function readPart(descriptor: number, buffer: Buffer, length: number, offset: number): Promise<Buffer> {
  if (length === 0) return Promise.resolve(buffer.subarray(0, 0));
  return new Promise((resolve, reject) => {
    read(descriptor, buffer, 0, length, offset, (error, count) => {
      if (error === null) resolve(buffer.subarray(0, count));
      else reject(error);
    });
  });
}

const ZEROS = Buffer.alloc(HOLE_BYTES);

/** Cuts data that begins at a multiple of {@linkcode HOLE_BYTES} into parts of zeros and others. */
export function* splitHoles(data: Buffer): Generator<ContentPart, void, void> {
  let start = 0;
  while (start < data.length) {
    const isHole = isZero(data, start);
    let end = start + HOLE_BYTES;
    while (end < data.length && isZero(data, end) === isHole) end += HOLE_BYTES;
    end = Math.min(end, data.length);
    if (isHole) yield { kind: "hole", sizeBytes: end - start };
    else yield { kind: "data", data: data.subarray(start, end) };
    start = end;
  }
}

function isZero(data: Buffer, start: number): boolean {
  const block = data.subarray(start, start + HOLE_BYTES);
  return block.equals(block.length === HOLE_BYTES ? ZEROS : ZEROS.subarray(0, block.length));
}
