/**
 * What the library warns of, as lines of the tool's own instead of the runtime's.
 *
 * @module
 */
import type { Output } from "./output.ts";
import { escapeControls } from "./terminal_text.ts";

export class Warnings {
  /** With `--quiet`. */
  isMuted = false;
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Takes the place of `process.emitWarning`. */
  readonly emit = (warning: string | Error, options?: unknown): void => {
    if (this.isMuted) return;
    const text = isEmulation(options) ? EMULATION : typeof warning === "string" ? warning : warning.message;
    this.#output.line(`${this.#output.style("yellow", "warning:")} ${escapeControls(text)}`).catch(() => {}); // the reader is gone
  };
}

/** The library names the reasons at length; here there is a command for that. */
const EMULATION = "sandboxes run by emulation here, which is slow: `msb doctor` says why";

function isEmulation(options: unknown): boolean {
  return (
    typeof options === "object" && options !== null && "code" in options && options.code === "MSB_EMULATION"
  );
}
