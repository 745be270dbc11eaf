/**
 * Arguments and options of one attached program, collected call by call as in the known SDK.
 *
 * @module
 */
import { ProgramOptionsBuilder } from "../exec/program_options_builder.ts";
import type { AttachOptions } from "./attach_options.ts";
import type { TerminalStreams } from "./program_terminal.ts";

/**
 * Arguments and {@linkcode AttachOptions} in fluent form, for `attachWith()` and `attachDefaultWith()`.
 *
 * @example
 * ```ts no-run: needs a terminal
 * const code = await sandbox.attachWith("vi", (attach) => attach.arg("notes.txt").cwd("/root").detachKeys("ctrl-]"));
 * ```
 */
export class AttachOptionsBuilder extends ProgramOptionsBuilder {
  #options: Pick<AttachOptions, "detachKeys" | "terminal"> = {};

  /** Sets the keys that leave the program running, e.g. `"ctrl-]"`; `false` for none. */
  detachKeys(detachKeys: string | false): this {
    this.#options = { ...this.#options, detachKeys };
    return this;
  }

  /** Sets streams that stand for a terminal. */
  terminal(terminal: TerminalStreams): this {
    this.#options = { ...this.#options, terminal };
    return this;
  }

  /** Returns the arguments and options set so far. */
  build(): { readonly args: readonly string[]; readonly options: AttachOptions } {
    return { args: [...this.collectedArgs], options: { ...this.programOptions, ...this.#options } };
  }
}
