/**
 * Digest of a disk's content, at a cost that depends on the amount of data and not on the size of the disk.
 *
 * Free blocks of the file system count as zeros (`used_ranges.ts`). The digest is the SHA-256 of the size as a
 * little-endian u64, followed by the SHA-256 of each MiB, the last of which may be shorter. A MiB of zeros thus costs
 * one small update.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { assert } from "../base/assert.ts";
import { MiB } from "../base/bytes.ts";

export const CONTENT_ALGORITHM = "msb-sha256-ext4-1mib-v1";
/** Unit of reading and of the digest, in bytes. */
export const CHUNK_BYTES = 1 * MiB;

/** A chunk of a disk that is not all zeros. */
export interface DiskChunk {
  /** A multiple of {@linkcode CHUNK_BYTES}. */
  readonly offsetBytes: number;
  /** {@linkcode CHUNK_BYTES} bytes, or the rest of the disk. Valid only until the next chunk is requested. */
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

  /** Adds a chunk. Chunks must come in ascending sequence; chunks of zeros may be left out. */
  add({ offsetBytes, bytes }: DiskChunk): void {
    this.#zerosUntil(offsetBytes);
    assert(bytes.length === this.#nextBytes(), "a chunk has its full size");
    this.#hash.update(createHash("sha256").update(bytes).digest());
    this.#positionBytes += bytes.length;
  }

  /** Returns `sha256:` and 64 hex digits. Call it once, after the last chunk. */
  finish(): string {
    this.#zerosUntil(this.#sizeBytes);
    return `sha256:${this.#hash.digest("hex")}`;
  }

  #zerosUntil(offsetBytes: number): void {
    assert(offsetBytes >= this.#positionBytes, "chunks come in ascending sequence");
    // Many at a time, as a disk of 16 TiB has 16 million chunks.
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
/** Digests of that many chunks of zeros, one after the other. */
const ZERO_CHUNKS = Buffer.alloc(ZERO_CHUNKS_AT_ONCE * DIGEST_BYTES, hashOfZeros(CHUNK_BYTES));
