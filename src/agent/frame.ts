/**
 * Frames as bytes: see `protocol.ts` for the layout. `guest/frame.c` is the twin of this file.
 *
 * @module
 */
import { assert } from "../base/assert.ts";
import type { Bytes } from "../base/bytes.ts";
import { ProtocolError } from "./errors.ts";
import { FRAME_HEADER_BYTES, FRAME_PAYLOAD_BYTES_MAX } from "./protocol.ts";

/** One frame. */
export interface Frame {
  readonly stream: number;
  readonly type: number;
  readonly flags: number;
  readonly payload: Uint8Array;
}

/** A frame that has come. Payload and bytes are views into those that were fed: copy them to keep them. */
export interface DecodedFrame extends Frame {
  /** The whole frame, header included: a copy of them passes it on, which costs less than encoding it again. */
  readonly bytes: Uint8Array;
}

/** The bytes of a frame; the payload is copied. */
export function encodeFrame({ stream, type, flags, payload }: Frame): Bytes {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  writeFrameHeader(bytes, stream, type, flags, payload.length);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** Writes the header at the start of `bytes`. */
export function writeFrameHeader(
  bytes: Uint8Array,
  stream: number,
  type: number,
  flags: number,
  payloadBytes: number,
): void {
  assert(payloadBytes <= FRAME_PAYLOAD_BYTES_MAX, `payload of ${payloadBytes} bytes in one frame`);
  assert(isUnsigned(stream, 32) && isUnsigned(type, 8) && isUnsigned(flags, 8), "frame header in range");
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  view.setUint32(0, payloadBytes, true);
  view.setUint32(4, stream, true);
  view.setUint8(8, type);
  view.setUint8(9, flags);
  view.setUint16(10, 0, true);
}

/**
 * Cuts a byte stream into frames. What is left of a chunk is kept, never more than one frame.
 *
 * @example
 * ```ts no-vm
 * const decoder = new FrameDecoder();
 * const chunks = new Blob(["…"]).stream();
 * for await (const chunk of chunks) for (const frame of decoder.feed(chunk)) console.log(frame.type);
 * ```
 */
export class FrameDecoder {
  /** The start of a frame whose rest has not come yet. */
  readonly #partial = new Uint8Array(FRAME_HEADER_BYTES + FRAME_PAYLOAD_BYTES_MAX);
  #partialBytes = 0;

  /**
   * The frames that end in `chunk`, in order. Use each before asking for the next.
   *
   * @throws {ProtocolError} at a header that cannot be one: the stream is out of step and of no more use.
   */
  *feed(chunk: Uint8Array): Generator<DecodedFrame, void, void> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#partialBytes > 0) {
        offset += this.#complete(chunk.subarray(offset));
        const frame = decodeFrame(this.#partial.subarray(0, this.#partialBytes));
        if (frame === undefined) continue; // header complete, payload still to come; or the chunk is used up
        this.#partialBytes = 0;
        yield frame;
      } else {
        const frame = decodeFrame(chunk.subarray(offset));
        if (frame === undefined) {
          this.#partial.set(chunk.subarray(offset));
          this.#partialBytes = chunk.length - offset;
          return;
        }
        offset += FRAME_HEADER_BYTES + frame.payload.length;
        yield frame;
      }
    }
  }

  /** Whether the stream may end here without cutting a frame. */
  get isBetweenFrames(): boolean {
    return this.#partialBytes === 0;
  }

  /** Takes what the kept frame still needs (first its header, then its payload); returns how much that was. */
  #complete(chunk: Uint8Array): number {
    const wanted =
      this.#partialBytes < FRAME_HEADER_BYTES
        ? FRAME_HEADER_BYTES
        : FRAME_HEADER_BYTES + payloadSize(this.#partial);
    const taken = Math.min(wanted - this.#partialBytes, chunk.length);
    this.#partial.set(chunk.subarray(0, taken), this.#partialBytes);
    this.#partialBytes += taken;
    return taken;
  }
}

/** The frame at the start of `bytes`; `undefined` asks for more of them. Garbage is refused, not waited for. */
function decodeFrame(bytes: Uint8Array): DecodedFrame | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const payloadBytes = payloadSize(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, FRAME_HEADER_BYTES);
  if (payloadBytes > FRAME_PAYLOAD_BYTES_MAX || view.getUint16(10, true) !== 0) {
    throw new ProtocolError(`Cannot decode frame: the header announces ${payloadBytes} bytes`);
  }
  const end = FRAME_HEADER_BYTES + payloadBytes;
  if (bytes.length < end) return undefined;
  return {
    stream: view.getUint32(4, true),
    type: view.getUint8(8),
    flags: view.getUint8(9),
    payload: bytes.subarray(FRAME_HEADER_BYTES, end),
    bytes: bytes.subarray(0, end),
  };
}

function payloadSize(header: Uint8Array): number {
  return new DataView(header.buffer, header.byteOffset, 4).getUint32(0, true);
}

function isUnsigned(value: number, bits: 8 | 32): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** bits;
}
