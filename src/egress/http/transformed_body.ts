/** Finds out how long a body has become. @module */
import { concatBytes, MiB } from "../../base/bytes.ts";
import { CallLimit } from "../../base/wait.ts";
import type { Framing } from "./message.ts";

/** A body up to this size is read whole before its head is sent; a larger one is sent in chunks. */
const MEASURED_BYTES_MAX = 1 * MiB;

/** How a body is measured. */
export interface MeasureOptions {
  /** Do not read it before its head is sent. @default {false} */
  readonly isUnknown?: boolean | undefined;
  /** After this it is sent in chunks, so that events which it is made of are not kept waiting. @default {Infinity} */
  readonly patienceMs?: number | undefined;
}

/** A body whose length is not known, with the framing that fits it. */
export async function measuredBody(
  body: AsyncIterable<Uint8Array>,
  { isUnknown = false, patienceMs = Number.POSITIVE_INFINITY }: MeasureOptions = {},
): Promise<{ readonly framing: Framing; readonly body: AsyncIterable<Uint8Array> }> {
  if (isUnknown) return { framing: { kind: "chunked" }, body };
  const pieces = body[Symbol.asyncIterator]();
  const first: Uint8Array[] = [];
  using patience = new CallLimit({ action: "measuring a body", timeoutMs: patienceMs });
  for (let bytes = 0; bytes <= MEASURED_BYTES_MAX; ) {
    const next = pieces.next();
    const result = await Promise.race([next, reached(patience)]);
    if (result === undefined) return { framing: { kind: "chunked" }, body: allThen(first, pieces, next) };
    if (result.done === true) return { framing: { kind: "length", bytes }, body: all(first) };
    first.push(result.value);
    bytes += result.value.length;
  }
  return { framing: { kind: "chunked" }, body: allThen(first, pieces, pieces.next()) };
}

function reached(limit: CallLimit): Promise<undefined> {
  return new Promise((resolve) => {
    limit.onReached(() => resolve(undefined));
  });
}

async function* all(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  if (pieces.length > 0) yield concatBytes(pieces);
}

async function* allThen(
  first: readonly Uint8Array[],
  rest: AsyncIterator<Uint8Array>,
  next: Promise<IteratorResult<Uint8Array>>,
): AsyncGenerator<Uint8Array> {
  yield* all(first);
  for (let result = await next; result.done !== true; result = await rest.next()) yield result.value;
}
