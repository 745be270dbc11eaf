/** A channel in memory: what it reads was given, what is written is kept. @module */
import type { ByteChannel } from "../../../src/egress/http/byte_channel.ts";

export class MemoryChannel implements ByteChannel {
  readonly #pieces: Uint8Array[];
  readonly written: Uint8Array[] = [];
  isEnded = false;
  isDestroyed = false;
  readonly isDisturbed = false;

  constructor(pieces: readonly Uint8Array[]) {
    this.#pieces = [...pieces];
  }

  /** One that reads a text with a byte in each character, cut into pieces of `pieceBytes`. */
  static of(text: string, pieceBytes: number = text.length): MemoryChannel {
    const bytes = Uint8Array.from(Buffer.from(text, "latin1"));
    const pieces: Uint8Array[] = [];
    for (let start = 0; start < bytes.length; start += pieceBytes)
      pieces.push(bytes.subarray(start, start + pieceBytes));
    return new MemoryChannel(pieces);
  }

  get text(): string {
    return Buffer.concat(this.written).toString("latin1");
  }

  async read(): Promise<Uint8Array | undefined> {
    return this.#pieces.shift();
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.written.push(bytes);
  }

  async end(): Promise<void> {
    this.isEnded = true;
  }

  destroy(): void {
    this.isDestroyed = true;
  }
}
