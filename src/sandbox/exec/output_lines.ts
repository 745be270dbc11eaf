/** What a program writes, line by line. @module */
import { type Bytes, concatBytes } from "../../base/bytes.ts";

const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;

// A byte order mark is a part of the line.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Cuts chunks into lines, which end with `\n` or `\r\n`. Holds one line at a time, of at most `lineBytesMax` bytes. */
export class LineCutter {
  readonly #lineBytesMax: number;
  readonly #tooLong: () => Error;
  #parts: Bytes[] = [];
  #size = 0;

  /** @param tooLong Makes the error for a longer line. */
  constructor(lineBytesMax: number, tooLong: () => Error) {
    this.#lineBytesMax = lineBytesMax;
    this.#tooLong = tooLong;
  }

  /** The lines that end in this chunk. */
  *add(chunk: Bytes): Generator<string, void, void> {
    let begin = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, begin)) {
      this.#hold(chunk.subarray(begin, end));
      begin = end + 1;
      yield this.#take();
    }
    this.#hold(chunk.subarray(begin));
  }

  /** What follows the last line's end; `undefined` if nothing does. */
  finish(): string | undefined {
    return this.#size === 0 ? undefined : this.#take();
  }

  #hold(part: Bytes): void {
    if (part.length === 0) return;
    this.#size += part.length;
    if (this.#size > this.#lineBytesMax) throw this.#tooLong();
    this.#parts.push(part);
  }

  #take(): string {
    const [only] = this.#parts;
    const line = this.#parts.length === 1 && only !== undefined ? only : concatBytes(this.#parts);
    this.#parts = [];
    this.#size = 0;
    return decoder.decode(line.at(-1) === CARRIAGE_RETURN ? line.subarray(0, -1) : line);
  }
}

/** The end of what a program writes: at most `bytesMax` bytes of it. */
export class OutputTail {
  readonly #bytesMax: number;
  readonly #chunks: Bytes[] = [];
  #size = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(chunk: Bytes): void {
    this.#chunks.push(chunk);
    this.#size += chunk.length;
    for (let first = this.#chunks[0]; first !== undefined; first = this.#chunks[0]) {
      if (this.#size - first.length < this.#bytesMax) return;
      this.#size -= first.length;
      this.#chunks.shift();
    }
  }

  get bytes(): Bytes {
    return concatBytes(this.#chunks).slice(-this.#bytesMax);
  }
}
