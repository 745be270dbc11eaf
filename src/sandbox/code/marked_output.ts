/**
 * One channel of an interpreter, taken apart: what programs wrote, and what the driver says between.
 *
 * The driver says it in pieces: the byte 0x1e, the nonce of the call, four digits of length in hexadecimal, and that many bytes, of
 * which the first is the kind: `r` (a part of the report) or `e` (the end, for a shell with the status). A piece has at most 4096 bytes, which a
 * pipe takes whole (PIPE_BUF), so that the output of a program in the background cannot fall into one. Code does not know the nonce, unless it
 * looks for it in its own process: it could then lie about itself, and no more.
 *
 * @module
 */
import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { REPORT_BYTES_MAX } from "./report.ts";

const MARK = 0x1e;
const LENGTH_DIGITS = 4;
const KIND_REPORT = 0x72;
const KIND_END = 0x65;
/** A driver's pieces are smaller. */
const PAYLOAD_BYTES_MAX = 4096;

/** The driver said what it never says: something else speaks in its name. */
export class MarkError extends Error {}

/** One channel during one call. */
export class MarkedOutput {
  readonly #mark: Bytes;
  /** What may be the beginning of a piece: at most one piece. */
  #held: Bytes = new Uint8Array(0);
  readonly #report: Bytes[] = [];
  #reportBytes = 0;
  #end: string | undefined;

  constructor(nonce: string) {
    this.#mark = concatBytes([Uint8Array.of(MARK), encodeUtf8(nonce)]);
  }

  /** What came with the end, `""` if nothing did; `undefined` until it has come. */
  get end(): string | undefined {
    return this.#end;
  }

  /** The report, as far as it has come. */
  get report(): Bytes {
    return concatBytes(this.#report);
  }

  /** Takes what was read, and returns what programs wrote of it. @throws {MarkError} */
  feed(chunk: Bytes): Bytes {
    const bytes = this.#held.length === 0 ? chunk : concatBytes([this.#held, chunk]);
    const written: Bytes[] = [];
    let from = 0; // what is before it has been told
    let at = bytes.indexOf(MARK);
    while (at >= 0) {
      const match = this.#matchAt(bytes, at);
      if (match === "partial") break;
      if (match === "none") {
        at = bytes.indexOf(MARK, at + 1);
        continue;
      }
      written.push(bytes.subarray(from, at));
      this.#take(match.payload);
      from = match.end;
      at = bytes.indexOf(MARK, from);
    }
    written.push(bytes.subarray(from, at < 0 ? bytes.length : at));
    this.#held = at < 0 ? new Uint8Array(0) : bytes.slice(at);
    return concatBytes(written);
  }

  /** Bytes that were held back but are not a piece, once nothing more comes. */
  rest(): Bytes {
    const held = this.#held;
    this.#held = new Uint8Array(0);
    return held;
  }

  #matchAt(bytes: Bytes, at: number): "none" | "partial" | { readonly payload: Bytes; readonly end: number } {
    const mark = this.#mark;
    const available = Math.min(mark.length, bytes.length - at);
    for (let index = 1; index < available; index++) if (bytes[at + index] !== mark[index]) return "none";
    const start = at + mark.length + LENGTH_DIGITS;
    if (bytes.length < start) return "partial";
    const digits = decodeUtf8(bytes.subarray(at + mark.length, start));
    const length = /^[0-9a-f]{4}$/.test(digits) ? Number.parseInt(digits, 16) : 0;
    if (length < 1 || length > PAYLOAD_BYTES_MAX) throw new MarkError(`a piece of the length ${digits}`);
    if (bytes.length < start + length) return "partial";
    return { payload: bytes.slice(start, start + length), end: start + length };
  }

  #take(payload: Bytes): void {
    const [kind] = payload;
    const body = payload.subarray(1);
    if (this.#end !== undefined) throw new MarkError("a piece behind the end");
    if (kind === KIND_END) this.#end = decodeUtf8(body);
    else if (kind === KIND_REPORT) {
      this.#reportBytes += body.length;
      if (this.#reportBytes > REPORT_BYTES_MAX) throw new MarkError("a report that is too long");
      this.#report.push(body);
    } else throw new MarkError(`a piece of the kind ${kind}`);
  }
}
