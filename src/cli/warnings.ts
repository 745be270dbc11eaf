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
    const text =
      OWN_WORDS[codeOf(options) ?? ""] ?? (typeof warning === "string" ? warning : warning.message);
    this.#output.line(`${this.#output.style("yellow", "warning:")} ${escapeControls(text)}`).catch(() => {}); // the reader is gone
  };
}

/** Shorter texts for warnings in which the library names options: here they are flags or commands. */
const OWN_WORDS: Readonly<Record<string, string>> = {
  MSB_EMULATION: "sandboxes run by emulation here, which is slow: `msb doctor` says why",
  MSB_NO_NETWORK:
    "the sandbox has no network, which the program looked for: --network user opens what is public, --allow HOST one host",
};

function codeOf(options: unknown): string | undefined {
  const code =
    typeof options === "object" && options !== null && "code" in options ? options.code : undefined;
  return typeof code === "string" ? code : undefined;
}
