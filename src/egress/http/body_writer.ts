/** Writes a body so that the other side knows where it ends. @module */
import { concatBytes, encodeUtf8 } from "../../base/bytes.ts";
import type { ByteChannel } from "./byte_channel.ts";
import type { Framing, HeaderField } from "./message.ts";

const LINE_END = encodeUtf8("\r\n");

/** Writes the pieces of one body. */
export class BodyWriter {
  readonly #channel: ByteChannel;
  readonly #framing: Framing;
  #written = 0;

  constructor(channel: ByteChannel, framing: Framing) {
    this.#channel = channel;
    this.#framing = framing;
  }

  /** Resolves when there is room for more. @throws {RangeError} if it is more than was announced. */
  async write(piece: Uint8Array): Promise<void> {
    if (piece.length === 0) return; // an empty chunk would be the end
    this.#written += piece.length;
    if (this.#framing.kind === "length" && this.#written > this.#framing.bytes) throw this.#otherLength();
    if (this.#framing.kind !== "chunked") return await this.#channel.write(piece);
    // In one piece: each write may become a TLS record, or a packet.
    const size = encodeUtf8(`${piece.length.toString(16)}\r\n`);
    await this.#channel.write(concatBytes([size, piece, LINE_END]));
  }

  /** Ends the body. @throws {RangeError} if it is less than was announced. */
  async finish(trailers: readonly HeaderField[] = []): Promise<void> {
    if (this.#framing.kind === "length" && this.#written < this.#framing.bytes) throw this.#otherLength();
    if (this.#framing.kind !== "chunked") return;
    const lines = trailers.map(({ name, value }) => `${name}: ${value}\r\n`).join("");
    await this.#channel.write(Buffer.from(`0\r\n${lines}\r\n`, "latin1"));
  }

  #otherLength(): RangeError {
    return new RangeError("the body has another length than was announced");
  }
}
