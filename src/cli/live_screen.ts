/**
 * A screen of its own on the terminal, drawn again and again; what was there before comes back.
 *
 * The sequences are those of xterm that every terminal of today knows: the alternate screen, the cursor's visibility, and
 * line wrap, which is off so that a table wider than the terminal stays a table.
 *
 * @module
 */
import type { Output } from "./output.ts";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE_END = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

export class LiveScreen implements AsyncDisposable {
  readonly #output: Output;
  readonly #resized = () => void this.#draw().catch(() => {}); // the next draw() tells
  #text = "";

  private constructor(output: Output) {
    this.#output = output;
    process.on("SIGWINCH", this.#resized);
  }

  /** Opens the screen. It is left when this is disposed of. */
  static async open(output: Output): Promise<LiveScreen> {
    const screen = new LiveScreen(output);
    await output.write(ENTER);
    return screen;
  }

  /** Shows `text` instead of what was shown. Lines that do not fit are cut, and the last ones left out. */
  async draw(text: string): Promise<void> {
    this.#text = text;
    await this.#draw();
  }

  /** Gives the terminal back, with the last text below what was there. */
  async [Symbol.asyncDispose](): Promise<void> {
    process.off("SIGWINCH", this.#resized);
    await this.#output.write(`${LEAVE}${this.#text}`);
  }

  #draw(): Promise<void> {
    const lines = this.#text.replace(/\n$/, "").split("\n").slice(0, this.#output.rows);
    const shown = lines.map((line) => `${line}${CLEAR_LINE_END}`).join("\r\n");
    return this.#output.write(`${HOME}${shown}${CLEAR_BELOW}`);
  }
}
