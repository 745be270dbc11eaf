/**
 * The terminal that this process was started on: its size, what is typed, and what is shown.
 *
 * @module
 */
import process from "node:process";
import { checkTerminal, RawMode, TerminalError, terminalSize } from "./raw_mode.ts";
import { TerminalModes } from "./terminal_modes.ts";

/** The size of a terminal, in characters. */
export interface TerminalSize {
  /** 1 to 65535. */
  readonly rows: number;
  /** 1 to 65535. */
  readonly columns: number;
}

/** What a terminal that does not say its size is taken for. */
export const DEFAULT_TERMINAL_SIZE: TerminalSize = { rows: 24, columns: 80 };

/** @throws {TerminalError} if standard input is no terminal, or a {@linkcode HostTerminal} is open. */
export const checkHostTerminal: () => void = checkTerminal;

/** The size of the terminal at standard input. @throws {TerminalError} if there is none. */
export function hostTerminalSize(): TerminalSize {
  return terminalSize() ?? DEFAULT_TERMINAL_SIZE;
}

/**
 * The terminal at standard input, in raw mode until this is disposed of. What a program has switched on by escape sequences
 * and left on is then switched off.
 */
export class HostTerminal implements Disposable {
  readonly #mode: RawMode;
  readonly #modes = new TerminalModes();
  readonly #resizeListeners = new Set<(size: TerminalSize) => void>();
  readonly #undo = new DisposableStack();

  /** @throws {TerminalError} if standard input is no terminal, or is in raw mode already. */
  constructor() {
    const resized = () => this.#resized();
    this.#mode = RawMode.enter(() => {
      process.stdout.write(this.#modes.redo);
      resized(); // it may have changed while the process was stopped
    });
    this.#undo.use(this.#mode);
    process.on("SIGWINCH", resized);
    this.#undo.defer(() => void process.off("SIGWINCH", resized));
    const ignore = () => {}; // a failure reaches who writes
    process.stdout.on("error", ignore);
    this.#undo.defer(() => void process.stdout.off("error", ignore));
  }

  /** The size now. */
  get size(): TerminalSize {
    return hostTerminalSize();
  }

  /** Calls `listener` with each new size, until the result is disposed of. */
  onResize(listener: (size: TerminalSize) => void): Disposable {
    this.#resizeListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#resizeListeners.delete(listener) };
  }

  /** What is typed, read no faster than it is taken. Fails with a {@linkcode TerminalError} when the terminal hangs up. */
  input(): ReadableStream<Uint8Array> {
    const { stdin } = process;
    let leave = () => {};
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          const take = (chunk: Uint8Array | string) => {
            stdin.pause();
            controller.enqueue(typeof chunk === "string" ? Buffer.from(chunk) : chunk);
          };
          // No key ends the input in raw mode: the other end is gone.
          const end = (cause: Error = hangUp()) => {
            leave();
            controller.error(new TerminalError("The terminal has hung up", { cause }));
          };
          const ended = () => end();
          stdin.on("data", take);
          stdin.on("end", ended);
          stdin.on("error", end);
          stdin.pause();
          leave = () => {
            stdin.off("data", take);
            stdin.off("end", ended);
            stdin.off("error", end);
            stdin.pause();
          };
        },
        pull: () => void stdin.resume(),
        cancel: () => leave(),
      },
      { highWaterMark: 0 },
    );
  }

  /** Shows bytes. Resolves when the terminal has taken them. @throws {TerminalError} if it is gone. */
  async write(data: Uint8Array): Promise<void> {
    if (this.#modes.follow(data)) this.#mode.undo = this.#modes.undo;
    await new Promise<void>((resolve, reject) => {
      process.stdout.write(data, (cause) => {
        if (cause) reject(new TerminalError(`Cannot write to the terminal: ${cause.message}`, { cause }));
        else resolve();
      });
    });
  }

  /** Gives the terminal back as it was. */
  [Symbol.dispose](): void {
    this.#undo.dispose();
  }

  #resized(): void {
    for (const listener of [...this.#resizeListeners]) listener(this.size);
  }
}

/** What writing to it would fail with. */
function hangUp(): Error {
  return Object.assign(new Error("EIO: the other end of the terminal is closed"), { code: "EIO" });
}
