/**
 * Lines out of chunks: what a child process and its parent say to each other.
 *
 * @module
 */

/** Longest line that is read. */
export const LINE_BYTES_MAX = 4 * 1024 * 1024;

/** Cuts chunks into lines and hands them out one by one. */
export class LineQueue {
  readonly #decoder = new TextDecoder();
  readonly #ready: string[] = [];
  #rest = "";
  #ended = false;
  #wake: (() => void) | undefined;

  push(chunk: Uint8Array): void {
    if (this.#ended) return;
    const parts = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = parts.pop() ?? "";
    const whole = parts.findIndex((line) => line.length > LINE_BYTES_MAX);
    this.#ready.push(...(whole < 0 ? parts : parts.slice(0, whole)));
    // What comes behind a line that is too long belongs to nothing that can be trusted.
    if (whole >= 0 || this.#rest.length > LINE_BYTES_MAX) this.end();
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#rest = "";
    this.#wake?.();
  }

  async next(): Promise<string | undefined> {
    while (this.#ready.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#ready.shift();
  }
}
