/** Writes a message so that the other side knows where its body ends. @module */
import { concatBytes, encodeUtf8 } from "../../base/bytes.ts";
import type { ByteChannel } from "./byte_channel.ts";
import type { Framing, HeaderField } from "./message.ts";

const NOTHING = new Uint8Array();
const LINE_END = encodeUtf8("\r\n");

/**
 * Writes a head and the pieces of a body. The head goes out together with the first piece, if that is there in this turn of
 * the event loop: two writes are two packets, and two records of TLS.
 */
export class MessageWriter implements Disposable {
  readonly #channel: ByteChannel;
  readonly #framing: Framing;
  #head: Uint8Array;
  readonly #flush: NodeJS.Immediate;
  #written = 0;

  /** @param head The bytes of the head, its empty line included. */
  constructor(channel: ByteChannel, framing: Framing, head: Uint8Array) {
    this.#channel = channel;
    this.#framing = framing;
    this.#head = head;
    // A failure is told to the next write.
    this.#flush = setImmediate(() => void this.#send([]).catch(() => {}));
  }

  /** Resolves when there is room for more. @throws {RangeError} if it is more than was announced. */
  async write(piece: Uint8Array): Promise<void> {
    if (piece.length === 0) return; // an empty chunk would be the end
    this.#written += piece.length;
    if (this.#framing.kind === "length" && this.#written > this.#framing.bytes) throw otherLength();
    if (this.#framing.kind !== "chunked") return await this.#send([piece]);
    const size = encodeUtf8(`${piece.length.toString(16)}\r\n`);
    await this.#send([size, piece, LINE_END]);
  }

  /** Ends the body. @throws {RangeError} if it is less than was announced. */
  async finish(trailers: readonly HeaderField[] = []): Promise<void> {
    if (this.#framing.kind === "length" && this.#written < this.#framing.bytes) throw otherLength();
    if (this.#framing.kind !== "chunked") return await this.#send([]);
    const lines = trailers.map(({ name, value }) => `${name}: ${value}\r\n`).join("");
    await this.#send([Buffer.from(`0\r\n${lines}\r\n`, "latin1")]);
  }

  /** Sends nothing more. */
  [Symbol.dispose](): void {
    clearImmediate(this.#flush);
  }

  async #send(parts: readonly Uint8Array[]): Promise<void> {
    const all = this.#head.length === 0 ? parts : [this.#head, ...parts];
    this.#head = NOTHING;
    const [only] = all;
    if (only !== undefined) await this.#channel.write(all.length === 1 ? only : concatBytes(all));
  }
}

function otherLength(): RangeError {
  return new RangeError("the body has another length than was announced");
}
