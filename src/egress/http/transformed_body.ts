/** Finds out how long a body has become. @module */
import { concatBytes, MiB } from "../../base/bytes.ts";
import type { Framing } from "./message.ts";

/** A body up to this size is read whole before its head is sent; a larger one is sent in chunks. */
const MEASURED_BYTES_MAX = 1 * MiB;

/** A body whose length was changed, with the framing that fits it. @param isUnknown Do not read it to measure it. */
export async function measuredBody(
  body: AsyncIterable<Uint8Array>,
  isUnknown: boolean,
): Promise<{ readonly framing: Framing; readonly body: AsyncIterable<Uint8Array> }> {
  if (isUnknown) return { framing: { kind: "chunked" }, body };
  const pieces = body[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  let bytes = 0;
  while (bytes <= MEASURED_BYTES_MAX) {
    const { value, done } = await pieces.next();
    if (done === true) return { framing: { kind: "length", bytes }, body: all(first) };
    first.push(value);
    bytes += value.length;
  }
  return { framing: { kind: "chunked" }, body: allThen(first, pieces) };
}

async function* all(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  if (pieces.length > 0) yield concatBytes(pieces);
}

async function* allThen(
  first: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield* all(first);
  for (;;) {
    const { value, done } = await rest.next();
    if (done === true) return;
    yield value;
  }
}
