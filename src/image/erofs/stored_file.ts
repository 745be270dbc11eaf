/**
 * Stores file data in an image. {@linkcode FileSink} receives a file's bytes and places them; {@linkcode StoredFile}
 * remembers where they are.
 *
 * A file is one run of blocks, and its end may be kept for the place after its inode. At the first whole chunk of zeros
 * it becomes a map of chunks with holes, whether or not the source called the zeros a hole.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { assert } from "../../base/assert.ts";
import { KiB, MiB } from "../../base/bytes.ts";
import type { FileChunk, FileContent } from "../tree/tree.ts";
import { BLOCK_BYTES, CHUNK_ENTRY_BYTES, HOLE_ADDRESS } from "./format.ts";
import type { ImageFile } from "./image_file.ts";
import type { TailArena, TailSlot } from "./tail_arena.ts";

/** Ends up to this size stand behind their inode: longer ones would leave gaps as large as the block they save. */
export const INLINE_BYTES_MAX = 2 * KiB;
/** Smallest hole that is looked for. */
const CHUNK_BYTES_MIN = 64 * KiB;
/** Longest map. Its size then never exceeds that of the smallest hole. */
const CHUNKS_MAX = 16_384;
const READ_BYTES = 1 * MiB;
/** Memory that a {@linkcode ChunkRun} takes. */
const RUN_BYTES = 64;

/** Adjacent chunks that are stored one behind the other. */
interface ChunkRun {
  readonly firstChunk: number;
  readonly firstBlock: number;
  chunkCount: number;
}

/** The chunks of a file with holes. */
export interface ChunkMap {
  readonly chunkBytes: number;
  readonly runs: readonly ChunkRun[];
}

/** A file whose bytes are in the image. Readable until the image is finished. */
export class StoredFile implements FileContent {
  readonly sizeBytes: number;
  /** First block of a file without holes. */
  readonly firstBlock: number;
  /** Kept end of the file, of `sizeBytes % BLOCK_BYTES` bytes. */
  readonly tail: TailSlot | undefined;
  /** Of a file with holes. */
  readonly chunks: ChunkMap | undefined;
  /** Where its image is made. */
  readonly storage: Storage;

  constructor(
    storage: Storage,
    sizeBytes: number,
    firstBlock: number,
    tail: TailSlot | undefined,
    chunks: ChunkMap | undefined,
  ) {
    this.storage = storage;
    this.sizeBytes = sizeBytes;
    this.firstBlock = firstBlock;
    this.tail = tail;
    this.chunks = chunks;
  }

  get memoryBytes(): number {
    return this.chunks === undefined ? 0 : this.chunks.runs.length * RUN_BYTES;
  }

  async *read(): AsyncIterable<FileChunk> {
    const tailBytes = this.tail === undefined ? 0 : this.sizeBytes % BLOCK_BYTES;
    const blocksEnd = this.sizeBytes - tailBytes;
    const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, blocksEnd));
    for (const { start, end, firstBlock } of this.#extents(blocksEnd)) {
      for (let at = start; at < end; at += READ_BYTES) {
        const bytes = buffer.subarray(0, Math.min(READ_BYTES, end - at));
        this.storage.file.readAt(bytes, firstBlock * BLOCK_BYTES + at - start);
        yield { offsetBytes: at, bytes };
      }
    }
    if (this.tail !== undefined) {
      yield { offsetBytes: blocksEnd, bytes: this.storage.tails.view(this.tail, tailBytes) };
    }
  }

  *#extents(blocksEnd: number): Iterable<{ start: number; end: number; firstBlock: number }> {
    if (this.chunks === undefined) {
      yield { start: 0, end: blocksEnd, firstBlock: this.firstBlock };
      return;
    }
    const { chunkBytes, runs } = this.chunks;
    for (const { firstChunk, firstBlock, chunkCount } of runs) {
      const start = firstChunk * chunkBytes;
      yield { start, end: Math.min(start + chunkCount * chunkBytes, blocksEnd), firstBlock };
    }
  }
}

/** The block address of each chunk of a file with holes. */
export function encodeChunkMap({ chunkBytes, runs }: ChunkMap, sizeBytes: number): Uint8Array {
  const chunkBlocks = chunkBytes / BLOCK_BYTES;
  const map = new DataView(new ArrayBuffer(Math.ceil(sizeBytes / chunkBytes) * CHUNK_ENTRY_BYTES));
  for (let at = 0; at < map.byteLength; at += CHUNK_ENTRY_BYTES) map.setUint32(at, HOLE_ADDRESS, true);
  for (const { firstChunk, firstBlock, chunkCount } of runs) {
    for (let index = 0; index < chunkCount; index++) {
      map.setUint32((firstChunk + index) * CHUNK_ENTRY_BYTES, firstBlock + index * chunkBlocks, true);
    }
  }
  return new Uint8Array(map.buffer);
}

/** The two places of an image where file data goes. */
export interface Storage {
  readonly file: ImageFile;
  readonly tails: TailArena;
}

/** Receives one file's bytes from start to end. Only one sink of an image is in use at a time. */
export class FileSink {
  readonly sizeBytes: number;
  readonly #storage: Storage;
  readonly #chunkBytes: number;
  readonly #tailStart: number;
  readonly #runs: ChunkRun[] = [];
  #position = 0;
  /** Zeros at the start of the present chunk, which is not placed yet. */
  #leadingZeros = 0;
  /** Whether the present chunk has its place, so that all of its bytes are to be written. */
  #chunkPlaced = false;
  #hasHoles = false;
  #tail: TailSlot | undefined;

  constructor(storage: Storage, sizeBytes: number) {
    this.#storage = storage;
    this.sizeBytes = sizeBytes;
    this.#tailStart = sizeBytes - (sizeBytes % BLOCK_BYTES);
    this.#chunkBytes = chunkBytesFor(sizeBytes);
    storage.file.startBlock();
    if (this.#tailStart === 0) this.#reserveTail();
  }

  /** How many bytes are still to come. */
  get missingBytes(): number {
    return this.sizeBytes - this.#position;
  }

  write(bytes: Uint8Array): void {
    assert(bytes.length <= this.missingBytes, "no more bytes than the file's size");
    let from = 0;
    while (from < bytes.length) {
      const count = Math.min(bytes.length - from, this.#stepBytes());
      this.#step(bytes.subarray(from, from + count), count);
      from += count;
    }
  }

  /** The next `count` bytes are zeros. */
  writeZeros(count: number): void {
    assert(count <= this.missingBytes, "no more bytes than the file's size");
    let left = count;
    while (left > 0) {
      const step = Math.min(left, this.#stepBytes());
      this.#step(undefined, step);
      left -= step;
    }
  }

  /** To be called when all bytes have come. */
  end(): StoredFile {
    assert(this.missingBytes === 0, "all of the file's bytes have come");
    this.#endChunk();
    const firstBlock = this.#runs[0]?.firstBlock ?? 0;
    const chunks = this.#hasHoles ? { chunkBytes: this.#chunkBytes, runs: this.#runs } : undefined;
    return new StoredFile(this.#storage, this.sizeBytes, firstBlock, this.#tail, chunks);
  }

  /** How far it is to the next place where something changes: a chunk's end, or the start of the file's end. */
  #stepBytes(): number {
    const chunkEnd = this.#position - (this.#position % this.#chunkBytes) + this.#chunkBytes;
    const change = this.#position < this.#tailStart ? Math.min(chunkEnd, this.#tailStart) : chunkEnd;
    return change - this.#position;
  }

  /** Takes `count` bytes that cross no such place; `undefined` stands for zeros. */
  #step(bytes: Uint8Array | undefined, count: number): void {
    if (this.#tail !== undefined) this.#keep(bytes, count);
    else if (this.#chunkPlaced) this.#append(bytes, count);
    else this.#seekData(bytes, count);
    this.#position += count;
    if (this.#position % this.#chunkBytes === 0) this.#endChunk();
    if (this.#position === this.#tailStart && count > 0) this.#reserveTail();
  }

  /** Holds zeros back while the chunk may become a hole; at the first other byte the chunk gets its place. */
  #seekData(bytes: Uint8Array | undefined, count: number): void {
    const mayBeHole = this.sizeBytes >= CHUNK_BYTES_MIN;
    if (mayBeHole && (bytes === undefined || isAllZeros(bytes))) {
      this.#leadingZeros += count;
      return;
    }
    this.#placeChunk();
    this.#append(bytes, count);
  }

  #append(bytes: Uint8Array | undefined, count: number): void {
    if (bytes === undefined) this.#storage.file.appendZeros(count);
    else this.#storage.file.append(bytes);
  }

  #placeChunk(): void {
    const chunk = Math.floor(this.#position / this.#chunkBytes);
    const block = this.#storage.file.startBlock();
    const last = this.#runs.at(-1);
    const lastEnd = last && last.firstBlock + last.chunkCount * (this.#chunkBytes / BLOCK_BYTES);
    if (last && last.firstChunk + last.chunkCount === chunk && lastEnd === block) last.chunkCount++;
    else this.#runs.push({ firstChunk: chunk, firstBlock: block, chunkCount: 1 });
    this.#storage.file.appendZeros(this.#leadingZeros);
    this.#leadingZeros = 0;
    this.#chunkPlaced = true;
  }

  #endChunk(): void {
    if (this.#leadingZeros > 0) this.#hasHoles = true;
    this.#leadingZeros = 0;
    this.#chunkPlaced = false;
  }

  /** The end of a file with holes, or of one that may yet get one, belongs to its last chunk. */
  #reserveTail(): void {
    const count = this.sizeBytes - this.#tailStart;
    if (count === 0 || count > INLINE_BYTES_MAX || this.#hasHoles || this.#leadingZeros > 0) return;
    this.#tail = this.#storage.tails.reserve(count);
  }

  #keep(bytes: Uint8Array | undefined, count: number): void {
    const at = this.#position - this.#tailStart;
    const target = this.#storage.tails.view(this.#tail!, this.sizeBytes - this.#tailStart);
    if (bytes === undefined) target.fill(0, at, at + count);
    else target.set(bytes, at);
  }
}

/** The chunk size of a file: the smallest with which its map stays short. A power of two. */
function chunkBytesFor(sizeBytes: number): number {
  let chunkBytes = CHUNK_BYTES_MIN;
  while (sizeBytes / chunkBytes > CHUNKS_MAX) chunkBytes *= 2;
  return chunkBytes;
}

const ZEROS = Buffer.alloc(CHUNK_BYTES_MIN);

/** Whether all of `bytes` are zero. Nearly always decided by the first. */
function isAllZeros(bytes: Uint8Array): boolean {
  if (bytes[0] !== 0) return false;
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const count = Math.min(ZEROS.length, bytes.length - at);
    if (ZEROS.compare(bytes, at, at + count, 0, count) !== 0) return false;
  }
  return true;
}
