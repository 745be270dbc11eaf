/**
 * Where a command writes to: standard output or standard error, with back-pressure, and with colour where a person reads.
 *
 * @module
 */
import { styleText } from "node:util";

/** What an {@linkcode Output} needs of a stream: `process.stdout` has it. */
export interface OutputStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(chunk: string | Uint8Array, callback: (error?: Error | null) => void): boolean;
  on(event: "error", listener: (error: Error) => void): unknown;
}

/** The reader of this output is gone, as `head` is once it has enough. */
export class BrokenPipeError extends Error {
  override readonly name = "BrokenPipeError";
}

/** A pipe without a reader, a terminal that hung up, and writes after either. */
export const READER_GONE: ReadonlySet<unknown> = new Set(["EPIPE", "EIO", "ERR_STREAM_DESTROYED"]);

type Style = Parameters<typeof styleText>[0];

/** What a terminal that does not say its size is taken for. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

export class Output {
  /** Whether a person reads this. */
  readonly isTerminal: boolean;
  readonly stream: OutputStream;
  /** Called once, when the reader is gone. */
  onBroken: () => void = () => {};
  readonly #hasColour: boolean;
  #last: Promise<void> = Promise.resolve();
  #isBroken = false;

  constructor(stream: OutputStream, environment: Readonly<Record<string, string | undefined>> = {}) {
    this.stream = stream;
    this.isTerminal = stream.isTTY === true;
    this.#hasColour = this.isTerminal && !environment["NO_COLOR"] && environment["TERM"] !== "dumb";
    stream.on("error", (error) => void this.#failureOf(error)); // also what no write is waiting for
  }

  get hasColour(): boolean {
    return this.#hasColour;
  }

  get columns(): number {
    return this.stream.columns || DEFAULT_COLUMNS;
  }

  get rows(): number {
    return this.stream.rows || DEFAULT_ROWS;
  }

  /**
   * Resolves when the stream has taken it, so that who waits is as fast as the reader.
   *
   * @throws {BrokenPipeError} if the reader is gone; else the system's error, e.g. of a full disk.
   */
  write(chunk: string | Uint8Array): Promise<void> {
    const written = this.#isBroken ? Promise.reject(new BrokenPipeError()) : this.#send(chunk);
    this.#last = written.catch(() => {}); // a caller that does not wait for it gets the error from the next write
    return written;
  }

  line(text: string): Promise<void> {
    return this.write(`${text}\n`);
  }

  /** Resolves when all that was written has left. */
  flush(): Promise<void> {
    return this.#last;
  }

  /** `text` in a style, where there is colour. */
  style(style: Style, text: string): string {
    return this.#hasColour ? styleText(style, text, { validateStream: false }) : text;
  }

  #send(chunk: string | Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.stream.write(chunk, (error) => {
        if (error) reject(this.#failureOf(error));
        else resolve();
      });
    });
  }

  #failureOf(error: Error): Error {
    if (!("code" in error) || !READER_GONE.has(error.code)) return error;
    if (!this.#isBroken) {
      this.#isBroken = true;
      this.onBroken();
    }
    return new BrokenPipeError(error.message, { cause: error });
  }
}
