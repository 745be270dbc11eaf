/**
 * Splits a zstd stream into its frames without decoding them. A stream may have many frames (`pzstd`, `zstd:chunked`
 * layers), with skippable ones between them. Not every runtime's decoder continues after the first frame, or notices
 * that one is cut short.
 *
 * Source: RFC 8878, sections 3.1.1 (frames and blocks) and 3.1.2 (skippable frames).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { TarInvalidError } from "../errors.ts";

const FRAME_MAGIC = 0xfd2f_b528;
const SKIPPABLE_MAGIC = 0x184d_2a50;
const SKIPPABLE_MASK = 0xffff_fff0;
const BLOCK_TYPE_RLE = 1;
const BLOCK_TYPE_RESERVED = 3;

/** Returns whether `bytes` start a zstd stream. */
export function isZstd(bytes: Uint8Array): boolean {
  if (bytes.length < 4) return false;
  const magic = Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32LE();
  return magic === FRAME_MAGIC || isSkippable(magic);
}

/**
 * Yields the frames of `source`. Read each frame to its end before requesting the next.
 *
 * @throws {TarInvalidError} The stream is damaged, or ends within a frame.
 */
export async function* splitZstdFrames(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<AsyncIterable<Uint8Array>, void, undefined> {
  const chunks = new ChunkQueue(source);
  try {
    while ((await chunks.peek()) !== undefined) yield readFrame(chunks);
  } finally {
    await chunks.close();
  }
}

/** Yields the frame's bytes as they arrive. */
async function* readFrame(chunks: ChunkQueue): AsyncGenerator<Uint8Array, void, undefined> {
  const scanner = new FrameScanner();
  while (!scanner.hasEnded) {
    const chunk = await chunks.peek();
    if (chunk === undefined) throw new TarInvalidError(undefined, "its zstd data is cut short");
    const count = scanner.scan(chunk);
    chunks.drop(count);
    yield chunk.subarray(0, count);
  }
}

/** Finds the end of a frame. */
class FrameScanner {
  readonly #field = Buffer.alloc(4);
  #fieldBytes = 0;
  #wantedBytes = 4;
  #phase: "magic" | "descriptor" | "skippableSize" | "blockHeader" = "magic";
  /** Bytes to skip, which do not tell the frame's length. */
  #passBytes = 0;
  #checksumBytes = 0;
  #isLast = false;

  get hasEnded(): boolean {
    return this.#isLast && this.#passBytes === 0;
  }

  /** Returns how many of `bytes` belong to the frame. */
  scan(bytes: Uint8Array): number {
    let at = 0;
    while (at < bytes.length && !this.hasEnded) {
      if (this.#passBytes > 0) {
        const count = Math.min(this.#passBytes, bytes.length - at);
        this.#passBytes -= count;
        at += count;
        continue;
      }
      this.#field[this.#fieldBytes++] = bytes[at++]!;
      if (this.#fieldBytes < this.#wantedBytes) continue;
      this.#fieldBytes = 0;
      this.#takeField();
    }
    return at;
  }

  #takeField(): void {
    switch (this.#phase) {
      case "magic": {
        const magic = this.#field.readUInt32LE();
        if (magic === FRAME_MAGIC) this.#expect("descriptor", 1);
        else if (isSkippable(magic)) this.#expect("skippableSize", 4);
        else throw new TarInvalidError(undefined, "its zstd data is followed by other data");
        break;
      }
      case "skippableSize":
        this.#passBytes = this.#field.readUInt32LE();
        this.#isLast = true;
        break;
      case "descriptor":
        this.#takeDescriptor(this.#field[0]!);
        break;
      case "blockHeader":
        this.#takeBlockHeader(this.#field.readUIntLE(0, 3));
    }
  }

  #takeDescriptor(flags: number): void {
    const isSingleSegment = (flags & 0x20) !== 0;
    const sizeFlag = flags >> 6;
    const contentSizeBytes = sizeFlag === 0 ? (isSingleSegment ? 1 : 0) : 2 ** sizeFlag;
    const dictionaryIdBytes = [0, 1, 2, 4][flags & 3]!;
    this.#passBytes = (isSingleSegment ? 0 : 1) + dictionaryIdBytes + contentSizeBytes;
    this.#checksumBytes = (flags & 0x04) === 0 ? 0 : 4;
    this.#expect("blockHeader", 3);
  }

  #takeBlockHeader(value: number): void {
    const type = (value >> 1) & 3;
    if (type === BLOCK_TYPE_RESERVED) throw new TarInvalidError(undefined, "its zstd data is damaged");
    this.#isLast = (value & 1) !== 0;
    this.#passBytes = (type === BLOCK_TYPE_RLE ? 1 : value >> 3) + (this.#isLast ? this.#checksumBytes : 0);
  }

  #expect(phase: "descriptor" | "skippableSize" | "blockHeader", bytes: number): void {
    this.#phase = phase;
    this.#wantedBytes = bytes;
  }
}

/** A stream whose current chunk can be consumed piece by piece. */
class ChunkQueue {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Returns the rest of the current chunk, which is never empty, or `undefined` at the end of the stream. */
  async peek(): Promise<Uint8Array | undefined> {
    while (this.#chunk.length === 0) {
      const next = await this.#iterator.next();
      if (next.done) return undefined;
      this.#chunk = next.value;
    }
    return this.#chunk;
  }

  drop(count: number): void {
    this.#chunk = this.#chunk.subarray(count);
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }
}

function isSkippable(magic: number): boolean {
  return (magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE_MAGIC;
}
