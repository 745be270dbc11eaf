/** Detects the compression of a stream by its first bytes, and decompresses it. @module */

import type { Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { MiB } from "../../base/bytes.ts";
import { withQuietErrors } from "../../platform/quiet_errors.ts";
import { TarInvalidError } from "../errors.ts";
import { isZstd, splitZstdFrames } from "./zstd_frames.ts";

/** Supported compressions of a tar. */
export type Compression = "none" | "gzip" | "zstd";

/** Number of bytes that {@linkcode detectCompression} needs. */
export const COMPRESSION_MAGIC_BYTES = 6;

/** Compressions that are recognized so that the error can name them. */
const REFUSED: readonly (readonly [name: string, magic: readonly number[]])[] = [
  ["bzip2", [0x42, 0x5a, 0x68]],
  ["xz", [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ["lz4", [0x04, 0x22, 0x4d, 0x18]],
];
const OUTPUT_CHUNK_BYTES = 1 * MiB;

/**
 * Returns the compression of a tar that starts with `bytes`.
 *
 * @throws {TarInvalidError} The compression is not supported.
 */
export function detectCompression(bytes: Uint8Array): Compression {
  for (const [name, magic] of REFUSED) {
    if (!magic.every((byte, index) => bytes[index] === byte)) continue;
    throw new TarInvalidError(undefined, `it is compressed with ${name}`, {
      hint: "Compress it with gzip or zstd, or not at all.",
    });
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "gzip";
  return isZstd(bytes) ? "zstd" : "none";
}

/**
 * Decompresses `source` into chunks of up to 1 MiB. A chunk is valid only until the next one is requested.
 *
 * @throws {TarInvalidError} The data is damaged or cut short.
 */
export function decompress(
  source: AsyncIterable<Uint8Array>,
  compression: Compression,
): AsyncIterable<Uint8Array> {
  switch (compression) {
    case "none":
      return source;
    case "gzip":
      return transformed(source, createGunzip({ chunkSize: OUTPUT_CHUNK_BYTES }), "gzip");
    case "zstd":
      return unzstd(source);
  }
}

/** Decompresses `source` by whichever compression it has. @throws {TarInvalidError} */
export async function* decompressDetected(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    const first = await iterator.next();
    if (first.done) return;
    const rest: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => startWith(first.value, iterator),
    };
    yield* decompress(rest, detectCompression(first.value));
  } finally {
    await iterator.return?.();
  }
}

/** Decodes each frame with its own decoder, since not every runtime's decoder continues after the end of a frame. */
async function* unzstd(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const frame of splitZstdFrames(source)) {
    yield* transformed(frame, createZstdDecompress({ chunkSize: OUTPUT_CHUNK_BYTES }), "zstd");
  }
}

/** Feeds `source` to `transform` while its output is read. Requests the next input once the last is processed. */
async function* transformed(
  source: AsyncIterable<Uint8Array>,
  transform: Transform,
  name: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const failure: Failure = { error: undefined };
  withQuietErrors(transform);
  const feeding = feed(noting(source, failure), transform);
  try {
    for await (const chunk of transform) {
      yield chunk;
      release(chunk);
    }
    await feeding;
  } catch (error) {
    // The decoder's own error differs by runtime.
    if (failure.error !== undefined) throw failure.error;
    throw new TarInvalidError(undefined, `its ${name} data is damaged or cut short`, { cause: error });
  } finally {
    transform.destroy();
    await feeding.catch(() => {}); // reported above, or irrelevant because the reader has stopped
  }
}

/**
 * Frees the memory of a used chunk at once. The garbage collector reacts in proportion to live memory and would let a
 * hundred megabytes of used chunks pile up beside the tree of a large image. A buffer that is not full still belongs to
 * the decoder.
 */
function release(chunk: Buffer<ArrayBuffer>): void {
  const { buffer, byteOffset, byteLength } = chunk;
  const isFull = buffer.byteLength === OUTPUT_CHUNK_BYTES && byteOffset + byteLength === OUTPUT_CHUNK_BYTES;
  if (isFull) buffer.transfer(0);
}

/** Error of the source, as opposed to one of its processing. */
interface Failure {
  error: unknown;
}

async function* noting<T>(source: AsyncIterable<T>, failure: Failure): AsyncGenerator<T, void, undefined> {
  try {
    yield* source;
  } catch (error) {
    failure.error = error;
    throw error;
  }
}

async function feed(source: AsyncIterable<Uint8Array>, transform: Transform): Promise<void> {
  try {
    for await (const chunk of source) await write(transform, chunk);
    transform.end();
  } catch (error) {
    transform.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

function write(transform: Transform, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    transform.once("close", resolve); // a destroyed stream may never call back
    transform.write(chunk, (error) => {
      transform.off("close", resolve);
      if (error) reject(error);
      else resolve();
    });
  });
}

async function* startWith<T>(first: T, rest: AsyncIterator<T>): AsyncGenerator<T, void, undefined> {
  yield first;
  while (true) {
    const next = await rest.next();
    if (next.done) return;
    yield next.value;
  }
}
