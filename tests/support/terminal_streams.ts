/** A terminal that a test types on and looks at, as streams. @module */
import assert from "node:assert/strict";
import type { TerminalSize, TerminalStreams } from "../../mod.ts";
import { pollUntil } from "../../src/base/wait.ts";

/** How long something may take to be shown; many times what it takes. */
const SHOWN_TIMEOUT_MS = 20_000;

export class StreamScreen {
  /** For `attach()`. */
  readonly streams: TerminalStreams;
  /** All that was shown. */
  text = "";
  readonly #input = new TransformStream<Uint8Array | string>();
  readonly #sizes = new TransformStream<TerminalSize>();
  readonly #keyboard = this.#input.writable.getWriter();
  readonly #frame = this.#sizes.writable.getWriter();
  readonly #decoder = new TextDecoder();

  constructor(size?: TerminalSize) {
    const stdout = new WritableStream<Uint8Array>({
      write: (data) => {
        this.text += this.#decoder.decode(data, { stream: true });
      },
    });
    this.streams = { stdin: this.#input.readable, stdout, sizes: this.#sizes.readable, size };
  }

  type(data: Uint8Array | string): Promise<void> {
    return this.#keyboard.write(data);
  }

  hangUp(): Promise<void> {
    return this.#keyboard.close();
  }

  resize(size: TerminalSize): Promise<void> {
    return this.#frame.write(size);
  }

  async shows(wanted: string | RegExp): Promise<void> {
    const found = await pollUntil(
      () => (typeof wanted === "string" ? this.text.includes(wanted) : wanted.test(this.text)),
      { everyMs: 5, timeoutMs: SHOWN_TIMEOUT_MS },
    );
    assert.ok(found, `waited in vain for ${wanted} in ${JSON.stringify(this.text)}`);
  }
}
