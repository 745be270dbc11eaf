/**
 * Where an attached program is seen and typed to: the terminal of this process, or streams that the caller brings.
 *
 * @module
 */
import { encodeUtf8 } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { TerminalError } from "../../platform/raw_mode.ts";
import {
  checkHostTerminal,
  DEFAULT_TERMINAL_SIZE,
  HostTerminal,
  hostTerminalSize,
  type TerminalSize,
} from "../../platform/terminal.ts";

import { terminalSizeSchema } from "../exec/exec_options.ts";

export type { TerminalSize } from "../../platform/terminal.ts";

/**
 * A terminal that is somewhere else, such as in a browser at the other end of a WebSocket. The streams are locked while a
 * program is attached to them; none is closed or cancelled.
 */
export interface TerminalStreams {
  /** What is typed: bytes, or text to be sent as UTF-8. Its end is sent as ^D. An error detaches from the program. */
  readonly stdin: ReadableStream<Uint8Array | string>;
  /** Takes what is to be shown, escape sequences included. An error detaches from the program. */
  readonly stdout: WritableStream<Uint8Array>;
  /** The size at the beginning. @default 24 rows, 80 columns */
  readonly size?: TerminalSize | undefined;
  /** Each size that follows. @default none */
  readonly sizes?: ReadableStream<TerminalSize> | undefined;
}

/** What an attached program needs of a terminal. Disposing of it gives the terminal back. */
export interface ProgramTerminal extends Disposable {
  /** The size now. */
  readonly size: TerminalSize;
  /** What is typed. `undefined` at its end. Rejects once the terminal is given back, or is gone. */
  read(): Promise<Uint8Array | undefined>;
  /** Shows bytes. Resolves when there is room for more. */
  write(data: Uint8Array): Promise<void>;
  /** Calls `listener` with each new size until the terminal is given back. Rejects if no more can be told. */
  followSize(listener: (size: TerminalSize) => void): Promise<void>;
}

/** A terminal that is there, and that nothing has been taken from yet. */
export interface TerminalSource {
  readonly size: TerminalSize;
  /** What the terminal calls itself, as `TERM` has it; `undefined` if that is not known. */
  readonly type: string | undefined;
  /** @throws {TerminalError} if it is in use. */
  open(): ProgramTerminal;
}

/** The terminal that was asked for. @throws {TerminalError} if this process has none, or uses it already. */
export function terminalSource(streams: TerminalStreams | undefined): TerminalSource {
  if (streams !== undefined) {
    const size = streams.size ?? DEFAULT_TERMINAL_SIZE;
    return { size, type: undefined, open: () => new StreamTerminal(streams, size) };
  }
  checkHostTerminal();
  return {
    size: hostTerminalSize(),
    type: process.env["TERM"],
    open: () => new ProcessTerminal(),
  };
}

/** The terminal of this process. */
class ProcessTerminal implements ProgramTerminal {
  readonly #terminal = new HostTerminal();
  readonly #input = this.#terminal.input().getReader();

  get size(): TerminalSize {
    return this.#terminal.size;
  }

  async read(): Promise<Uint8Array | undefined> {
    return (await this.#input.read()).value;
  }

  write(data: Uint8Array): Promise<void> {
    return this.#terminal.write(data);
  }

  async followSize(listener: (size: TerminalSize) => void): Promise<void> {
    this.#terminal.onResize(listener);
  }

  [Symbol.dispose](): void {
    void this.#input.cancel();
    this.#terminal[Symbol.dispose]();
  }
}

/** What both runtimes' types of a stream's reader have. */
interface Reader<T> {
  read(): Promise<{ readonly done: boolean; readonly value?: T | undefined }>;
  releaseLock(): void;
}

/** What a stream of the caller's does, with an error of ours: a stream may fail with anything, or nothing. */
async function named<T>(action: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const reason = cause === undefined ? "its stream was aborted" : messageOf(cause);
    throw new TerminalError(`Cannot ${action} the terminal: ${reason}`, { cause });
  }
}

class StreamTerminal implements ProgramTerminal {
  readonly #input: Reader<Uint8Array | string>;
  readonly #output: WritableStreamDefaultWriter<Uint8Array>;
  readonly #sizes: Reader<TerminalSize> | undefined;
  #size: TerminalSize;

  /** @throws {TypeError} if one of the streams is in use. */
  constructor({ stdin, stdout, sizes }: TerminalStreams, size: TerminalSize) {
    this.#size = size;
    this.#input = stdin.getReader();
    this.#output = stdout.getWriter();
    this.#output.closed.catch(() => {}); // a failure reaches who writes
    this.#sizes = sizes?.getReader();
  }

  get size(): TerminalSize {
    return this.#size;
  }

  async read(): Promise<Uint8Array | undefined> {
    const { value } = await named("read from", this.#input.read());
    if (value === undefined || value instanceof Uint8Array) return value;
    if (typeof value === "string") return encodeUtf8(value);
    throw new TerminalError(
      `Cannot read from the terminal: its stdin yields a value of type ${typeof value}`,
    );
  }

  async write(data: Uint8Array): Promise<void> {
    await named("write to", this.#output.write(data));
  }

  async followSize(listener: (size: TerminalSize) => void): Promise<void> {
    for (let next = await this.#sizes?.read(); next?.value !== undefined; next = await this.#sizes?.read()) {
      this.#size = parseConfig(terminalSizeSchema, next.value, "terminal.sizes");
      listener(this.#size);
    }
  }

  [Symbol.dispose](): void {
    for (const lock of [this.#input, this.#output, this.#sizes]) lock?.releaseLock();
  }
}
