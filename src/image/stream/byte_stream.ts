/** Byte streams as async iterables: reading a file, and ending a stream by an `AbortSignal`. @module */
import { Buffer } from "node:buffer";
import { type FileHandle, open } from "node:fs/promises";
import { MiB } from "../../base/bytes.ts";
import { AbortedError, IoError } from "../../base/errors.ts";

const CHUNK_BYTES = 1 * MiB;

/**
 * Yields a file's bytes in large chunks. The next chunk is read into a second buffer while the consumer works, so a
 * chunk is valid only until the next one is requested.
 *
 * @throws {IoError}
 */
export async function* readFileChunks(path: string): AsyncGenerator<Uint8Array, void, undefined> {
  const attempt = async <T>(operation: Promise<T>): Promise<T> => {
    try {
      return await operation;
    } catch (error) {
      throw new IoError(`read ${path}`, path, error);
    }
  };
  const handle = await attempt(open(path, "r"));
  let pending: Promise<Uint8Array> | undefined;
  try {
    const buffers = [Buffer.allocUnsafeSlow(CHUNK_BYTES), Buffer.allocUnsafeSlow(CHUNK_BYTES)];
    pending = readChunk(handle, buffers[0]!);
    for (let turn = 1; ; turn++) {
      const chunk = await attempt(pending);
      pending = undefined;
      if (chunk.length === 0) return;
      pending = readChunk(handle, buffers[turn % 2]!);
      pending.catch(() => {}); // the next turn, if there is one, reports it
      yield chunk;
    }
  } finally {
    await pending?.catch(() => {}); // the descriptor may not be closed under a read
    await handle.close();
  }
}

async function readChunk(handle: FileHandle, buffer: Buffer): Promise<Uint8Array> {
  const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
  return buffer.subarray(0, bytesRead);
}

/**
 * Passes `source` through until the signal fires, even if the source hangs.
 *
 * @param action What the error says was interrupted: `"reading a tar"`.
 * @throws {AbortedError}
 */
export async function* abortable<T>(
  source: AsyncIterable<T>,
  action: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<T, void, undefined> {
  if (signal === undefined) {
    yield* source;
    return;
  }
  const iterator = source[Symbol.asyncIterator]();
  // One listener, but a promise per turn: reactions on one promise for the whole stream would pile up.
  let abortTurn = (): void => {};
  const onAbort = (): void => abortTurn();
  signal.addEventListener("abort", onAbort, { once: true });
  let hasEnded = false;
  try {
    while (true) {
      const result = await new Promise<IteratorResult<T>>((resolve, reject) => {
        abortTurn = () => reject(new AbortedError(action, signal.reason));
        if (signal.aborted) return abortTurn();
        iterator.next().then(resolve, reject);
      });
      hasEnded = result.done === true;
      if (hasEnded) return;
      yield result.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
    // Do not wait after an abort: a source that hangs would hang here as well.
    const closed = hasEnded ? undefined : iterator.return?.().catch(() => {});
    if (!signal.aborted) await closed;
  }
}
