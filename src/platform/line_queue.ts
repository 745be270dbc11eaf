/**
 * Cuts chunks into lines: the messages between a child process and its parent.
 *
 * @module
 */
import { MiB } from "../base/bytes.ts";

/** Longest line that is read, in characters. The longest is a claim with an image's config, 8 MiB, which is JSON in JSON. */
export const LINE_CHARS_MAX = 64 * MiB;
/** Lines that wait for a reader. */
export const WAITING_LINES_MAX = 100_000;

/** Cuts chunks into lines and hands them out one by one. Ends at a line that is too long, or when too many wait. */
export class LineQueue {
  readonly #decoder = new TextDecoder();
  readonly #ready: string[] = [];
  /** The beginning of a line, in the pieces in which it came. */
  #pieces: string[] = [];
  #pieceChars = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  push(chunk: Uint8Array): void {
    const [first = "", ...others] = this.#decoder.decode(chunk, { stream: true }).split("\n");
    this.#add(first);
    for (const part of others) {
      this.#endLine();
      this.#add(part);
    }
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#pieces = [];
    this.#wake?.();
  }

  /** The next line; `undefined` at the end. */
  async next(): Promise<string | undefined> {
    while (this.#ready.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#ready.shift();
  }

  #add(piece: string): void {
    if (this.#ended || piece === "") return;
    this.#pieces.push(piece);
    this.#pieceChars += piece.length;
    // Nothing behind a line that is too long can be trusted.
    if (this.#pieceChars > LINE_CHARS_MAX) this.end();
  }

  #endLine(): void {
    if (this.#ended) return;
    this.#ready.push(this.#pieces.join(""));
    this.#pieces = [];
    this.#pieceChars = 0;
    if (this.#ready.length >= WAITING_LINES_MAX) this.end();
  }
}
