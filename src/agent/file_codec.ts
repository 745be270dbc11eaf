/**
 * Messages of a file session as bytes of its data channels: see `file_messages.ts`.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { ProtocolError } from "./errors.ts";
import { decodeFields, encodeFields } from "./fields.ts";
import {
  FILE_MESSAGE_BYTES_MAX,
  FILE_MESSAGES,
  type FileMessage,
  type FileMessageFields,
  type FileMessageName,
} from "./file_messages.ts";

const SIZE_BYTES = 4;
const ID_MAX = 0xffff_ffff;
/** Size, id and type. */
const HEAD_BYTES = SIZE_BYTES + 5;

const NAMES_BY_TYPE: ReadonlyMap<number, FileMessageName> = new Map(
  Object.entries(FILE_MESSAGES).map(([name, { type }]) => [type, name as FileMessageName]),
);

/** The bytes of one message. @throws {ProtocolError} if a value does not fit its field, or all do not fit a message. */
export function encodeFileMessage<N extends FileMessageName>(
  name: N,
  id: number,
  fields: FileMessageFields<N>,
): Bytes {
  if (!Number.isInteger(id) || id < 0 || id > ID_MAX)
    throw new ProtocolError(`Cannot encode ${name}: id ${id}`);
  const bytes = encodeFields(name, FILE_MESSAGES[name], fields, HEAD_BYTES);
  if (bytes.length - SIZE_BYTES > FILE_MESSAGE_BYTES_MAX)
    throw new ProtocolError(`Cannot encode ${name}: it needs ${bytes.length} bytes`);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length - SIZE_BYTES, true);
  view.setUint32(SIZE_BYTES, id, true);
  view.setUint8(SIZE_BYTES + 4, FILE_MESSAGES[name].type);
  return bytes;
}

/** Cuts a byte stream into messages. What is left of a chunk is kept, never more than one message. */
export class FileMessageDecoder {
  /** The start of a message whose rest has not come yet. */
  #partial: Bytes = new Uint8Array(0);
  #partialBytes = 0;

  /**
   * The messages that end in `chunk`, in order. Bytes in them are views: use each before asking for the next.
   *
   * @throws {ProtocolError} if it cannot be one: the session is out of step and of no more use.
   */
  *feed(chunk: Uint8Array): Generator<FileMessage, void, void> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#partialBytes > 0) {
        offset += this.#complete(chunk.subarray(offset));
        const size = this.#partialBytes >= SIZE_BYTES ? messageBytes(this.#partial) : undefined;
        if (size === undefined || this.#partialBytes < size) continue;
        this.#partialBytes = 0;
        yield decode(this.#partial.subarray(0, size));
      } else {
        const rest = chunk.subarray(offset);
        const size = rest.length >= SIZE_BYTES ? messageBytes(rest) : undefined;
        if (size === undefined || rest.length < size) return this.#keep(rest);
        offset += size;
        yield decode(rest.subarray(0, size));
      }
    }
  }

  /** Whether the stream may end here without cutting a message. */
  get isBetweenMessages(): boolean {
    return this.#partialBytes === 0;
  }

  #keep(rest: Uint8Array): void {
    this.#reserve(rest.length);
    this.#partial.set(rest);
    this.#partialBytes = rest.length;
  }

  /** Takes what the kept message still needs (first its size, then the rest); returns how much that was. */
  #complete(chunk: Uint8Array): number {
    const wanted = this.#partialBytes < SIZE_BYTES ? SIZE_BYTES : messageBytes(this.#partial);
    const taken = Math.min(wanted - this.#partialBytes, chunk.length);
    this.#reserve(this.#partialBytes + taken);
    this.#partial.set(chunk.subarray(0, taken), this.#partialBytes);
    this.#partialBytes += taken;
    return taken;
  }

  /** Most sessions see small messages only, and need no buffer for the largest. */
  #reserve(bytes: number): void {
    if (bytes <= this.#partial.length) return;
    const larger = new Uint8Array(Math.min(Math.max(2 * bytes, 4096), SIZE_BYTES + FILE_MESSAGE_BYTES_MAX));
    larger.set(this.#partial.subarray(0, this.#partialBytes));
    this.#partial = larger;
  }
}

/** The size of a whole message by its first bytes. */
function messageBytes(bytes: Uint8Array): number {
  const size = new DataView(bytes.buffer, bytes.byteOffset, SIZE_BYTES).getUint32(0, true);
  if (size < HEAD_BYTES - SIZE_BYTES || size > FILE_MESSAGE_BYTES_MAX)
    throw new ProtocolError(`Cannot decode a file message: it announces ${size} bytes`);
  return SIZE_BYTES + size;
}

function decode(bytes: Uint8Array): FileMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES);
  const type = view.getUint8(SIZE_BYTES + 4);
  const name = NAMES_BY_TYPE.get(type);
  if (name === undefined) throw new ProtocolError(`Cannot decode a file message of type ${type}`);
  const fields = decodeFields(name, FILE_MESSAGES[name], bytes.subarray(HEAD_BYTES));
  // The table gave each field its type: this is where its types become the compiler's.
  return { name, id: view.getUint32(SIZE_BYTES, true), fields } as unknown as FileMessage;
}
