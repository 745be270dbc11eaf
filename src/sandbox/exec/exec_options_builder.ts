/**
 * Arguments and options of one program, collected call by call as in the known SDK.
 *
 * @module
 */
import { type ExecOptions, Stdin } from "./exec_options.ts";
import { ProgramOptionsBuilder } from "./program_options_builder.ts";

/**
 * Arguments and {@linkcode ExecOptions} in fluent form, for `execWith()`, `execDefaultWith()` and their streams.
 *
 * @example
 * ```ts
 * const output = await sandbox.execWith("ls", (exec) => exec.arg("-l").cwd("/etc").env("LANG", "C").timeout(60_000));
 * ```
 */
export class ExecOptionsBuilder extends ProgramOptionsBuilder {
  #options: Pick<ExecOptions, "stdin" | "tty"> = {};

  /** Gives the program no input. */
  stdinNull(): this {
    return this.#set({ stdin: "null" });
  }

  /** Gives the program a pipe as its input: see `ExecHandle.stdin`. */
  stdinPipe(): this {
    return this.#set({ stdin: "pipe" });
  }

  /** Gives the program this text (as UTF-8) or these bytes as its input. */
  stdinBytes(data: Uint8Array | string): this {
    return this.#set({ stdin: Stdin.bytes(data) });
  }

  /** Runs the program on a pseudo-terminal. */
  tty(tty = true): this {
    return this.#set({ tty });
  }

  /** Returns the arguments and options set so far. */
  build(): { readonly args: readonly string[]; readonly options: ExecOptions } {
    return { args: [...this.collectedArgs], options: { ...this.programOptions, ...this.#options } };
  }

  #set(options: Pick<ExecOptions, "stdin" | "tty">): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}
