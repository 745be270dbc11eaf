/**
 * Messages of a file session as bytes of its data channels: see `file_messages.ts`.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { ProtocolError } from "./errors.ts";
import { decodeFields, encodeFields } from "./fields.ts";
import {
  FILE_DATA_BYTES_MAX,
  FILE_MESSAGE_BYTES_MAX,
  FILE_MESSAGES,
  type FileMessage,
  type FileMessageFields,
  type FileMessageName,
} from "./file_messages.ts";
import { FRAME_PAYLOAD_BYTES_MAX } from "./protocol.ts";

const SIZE_BYTES = 4;
const ID_MAX = 0xffff_ffff;
/** Size, id and type: what every message has, and `done` has nothing else. */
const HEAD_BYTES = SIZE_BYTES + 5;
/** Content of a message that fills frames to the last byte. */
export const FILE_PART_BYTES: number = 2 * FRAME_PAYLOAD_BYTES_MAX - HEAD_BYTES;
const TYPE_OFFSET = SIZE_BYTES + 4;
/** Less content is copied rather than sent in a part of its own. */
const PART_BYTES_MIN = 16 * 1024;

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

/** What {@linkcode encodeFileMessage} gives, in parts: content is not copied, and must stay as it is until they are sent. */
export function encodeFileMessageParts<N extends FileMessageName>(
  name: N,
  id: number,
  fields: FileMessageFields<N>,
): readonly Uint8Array[] {
  const content = "data" in fields ? (fields.data as Uint8Array) : undefined;
  if (content === undefined || content.length < PART_BYTES_MIN) return [encodeFileMessage(name, id, fields)];
  if (content.length > FILE_DATA_BYTES_MAX)
    throw new ProtocolError(`Cannot encode ${name}: it has ${content.length} bytes of content`);
  const head = encodeFileMessage(name, id, { ...fields, data: new Uint8Array(0) });
  new DataView(head.buffer).setUint32(0, head.length - SIZE_BYTES + content.length, true);
  return [head, content];
}

/**
 * Cuts a byte stream into messages. What is left of a chunk is kept, never more than one message; content is not: it is given in
 * pieces, as it comes.
 */
export class FileMessageDecoder {
  /** Of the message whose content is coming. */
  #contentId = 0;
  #contentBytesLeft = 0;
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
      if (this.#contentBytesLeft > 0) {
        const data = chunk.subarray(offset, offset + this.#contentBytesLeft);
        this.#contentBytesLeft -= data.length;
        offset += data.length;
        yield { name: "data", id: this.#contentId, fields: { data } };
      } else if (this.#partialBytes > 0) {
        offset += this.#complete(chunk.subarray(offset));
        if (this.#beginContent(this.#partial.subarray(0, this.#partialBytes))) {
          this.#partialBytes = 0;
          continue;
        }
        const size = this.#partialBytes >= SIZE_BYTES ? messageBytes(this.#partial) : undefined;
        if (size === undefined || this.#partialBytes < size) continue;
        this.#partialBytes = 0;
        yield decode(this.#partial.subarray(0, size));
      } else {
        const rest = chunk.subarray(offset);
        const size = rest.length >= SIZE_BYTES ? messageBytes(rest) : undefined;
        if (size !== undefined && rest.length >= size) {
          offset += size;
          yield decode(rest.subarray(0, size));
        } else if (this.#beginContent(rest)) offset += HEAD_BYTES;
        else return this.#keep(rest);
      }
    }
  }

  /** Whether the stream may end here without cutting a message. */
  get isBetweenMessages(): boolean {
    return this.#partialBytes === 0 && this.#contentBytesLeft === 0;
  }

  /** Whether `bytes` begin a message of content, what follows of which is given as it comes. */
  #beginContent(bytes: Uint8Array): boolean {
    if (bytes.length < HEAD_BYTES || bytes[TYPE_OFFSET] !== FILE_MESSAGES.data.type) return false;
    this.#contentId = new DataView(bytes.buffer, bytes.byteOffset, HEAD_BYTES).getUint32(SIZE_BYTES, true);
    this.#contentBytesLeft = messageBytes(bytes) - HEAD_BYTES;
    return true;
  }

  #keep(rest: Uint8Array): void {
    this.#reserve(rest.length);
    this.#partial.set(rest);
    this.#partialBytes = rest.length;
  }

  /** Takes what the kept message still needs (first its head, then the rest); returns how much that was. */
  #complete(chunk: Uint8Array): number {
    // The head alone tells whether the rest is content.
    const wanted = this.#partialBytes < HEAD_BYTES ? HEAD_BYTES : messageBytes(this.#partial);
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
