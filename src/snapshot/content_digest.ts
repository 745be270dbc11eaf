/**
 * What a disk's content is known by, at a cost that depends on its data and not on its size.
 *
 * The content is that of the file with what its file system has free read as zeros (`used_ranges.ts`). The digest is the
 * SHA-256 of: its size as a u64 in little-endian, then the SHA-256 of each MiB of it, the last of which may be shorter.
 * A MiB of zeros thus costs one small update.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { MiB } from "../base/bytes.ts";

export const CONTENT_ALGORITHM = "msb-sha256-ext4-1mib-v1";
/** Unit of reading and of the digest. */
export const CHUNK_BYTES = 1 * MiB;

/** One piece of a disk that is not all zeros. */
export interface DiskChunk {
  /** A multiple of {@linkcode CHUNK_BYTES}. */
  readonly offsetBytes: number;
  /** Of {@linkcode CHUNK_BYTES}, or what is left of the disk. Valid until the next chunk is asked for. */
  readonly bytes: Uint8Array;
}

export class ContentDigest {
  readonly #hash = createHash("sha256");
  readonly #sizeBytes: number;
  #positionBytes = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(sizeBytes));
    this.#hash.update(size);
  }

  /** Takes the chunks that are not all zeros, in order. */
  add({ offsetBytes, bytes }: DiskChunk): void {
    this.#zerosUntil(offsetBytes);
    assert(bytes.length === this.#nextBytes(), "a chunk has its full size");
    this.#hash.update(createHash("sha256").update(bytes).digest());
    this.#positionBytes += bytes.length;
  }

  /** `sha256:` and 64 hex digits. To be called once, after the last chunk. */
  finish(): string {
    this.#zerosUntil(this.#sizeBytes);
    return `sha256:${this.#hash.digest("hex")}`;
  }

  #zerosUntil(offsetBytes: number): void {
    assert(offsetBytes >= this.#positionBytes, "chunks come in order");
    // Many at a time: a disk of 16 TiB has sixteen million chunks.
    let chunks = Math.floor((offsetBytes - this.#positionBytes) / CHUNK_BYTES);
    while (chunks > 0) {
      const count = Math.min(chunks, ZERO_CHUNKS_AT_ONCE);
      this.#hash.update(ZERO_CHUNKS.subarray(0, count * DIGEST_BYTES));
      this.#positionBytes += count * CHUNK_BYTES;
      chunks -= count;
    }
    if (this.#positionBytes < offsetBytes) {
      this.#hash.update(hashOfZeros(this.#nextBytes())); // the last chunk, which is shorter
      this.#positionBytes += this.#nextBytes();
    }
  }

  #nextBytes(): number {
    return Math.min(CHUNK_BYTES, this.#sizeBytes - this.#positionBytes);
  }
}

function hashOfZeros(sizeBytes: number): Uint8Array {
  return createHash("sha256").update(new Uint8Array(sizeBytes)).digest();
}

const DIGEST_BYTES = 32;
const ZERO_CHUNKS_AT_ONCE = 4096;
/** The digests of that many chunks of zeros, one behind the other. */
const ZERO_CHUNKS = Buffer.alloc(ZERO_CHUNKS_AT_ONCE * DIGEST_BYTES, hashOfZeros(CHUNK_BYTES));
