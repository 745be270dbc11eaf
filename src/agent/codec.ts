/**
 * Messages as payloads, driven by the table in `protocol.ts`.
 *
 * @module
 */
import { type Bytes, concatBytes } from "../base/bytes.ts";
import { ProtocolError } from "./errors.ts";
import { encodeFrame, type Frame } from "./frame.ts";
import {
  type FieldType,
  MESSAGES,
  type Message,
  type MessageDefinition,
  type MessageFields,
  type MessageName,
} from "./protocol.ts";

type Value = number | string | readonly string[] | Uint8Array;

const encoder = new TextEncoder();
// What a guest sends may be anything: text that is not UTF-8 is shown with U+FFFD rather than refused.
const decoder = new TextDecoder();

const NAMES_BY_TYPE: ReadonlyMap<number, MessageName> = new Map(
  Object.entries(MESSAGES).map(([name, { type }]) => [type, name as MessageName]),
);

/** The frame of one message. @throws {ProtocolError} if a number does not fit its field. */
export function encodeMessage<N extends MessageName>(
  name: N,
  stream: number,
  fields: MessageFields<N>,
  flags = 0,
): Bytes {
  return encodeFrame({ stream, type: MESSAGES[name].type, flags, payload: encodePayload(name, fields) });
}

/** The payload of one message, which for a large `execStart` is more than one frame holds. */
export function encodePayload<N extends MessageName>(name: N, fields: MessageFields<N>): Bytes {
  const definition: MessageDefinition = MESSAGES[name];
  const values: Readonly<Record<string, Value>> = fields;
  return concatBytes(
    Object.entries(definition.fields).map(([field, type]) =>
      encodeField(`${name}.${field}`, type, values[field]),
    ),
  );
}

/**
 * The message in a frame; `undefined` if this version knows no such type.
 *
 * @throws {ProtocolError} if the payload is not what the table says.
 */
export function decodeMessage(frame: Frame): Message | undefined {
  const name = NAMES_BY_TYPE.get(frame.type);
  if (name === undefined) return undefined;
  const definition: MessageDefinition = MESSAGES[name];
  const reader = new PayloadReader(name, frame.payload);
  const fields: Record<string, Value> = {};
  for (const [field, type] of Object.entries(definition.fields)) fields[field] = reader.read(type);
  reader.finish();
  // The table gave each field its type: this is where its types become the compiler's.
  return { name, stream: frame.stream, flags: frame.flags, fields } as unknown as Message;
}

const FIXED_BYTES = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8 } as const;
type FixedType = keyof typeof FIXED_BYTES;

const FIXED_RANGES: Readonly<Record<FixedType, readonly [number, number]>> = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
  u64: [0, Number.MAX_SAFE_INTEGER],
};

function encodeField(field: string, type: FieldType, value: Value | undefined): Uint8Array {
  if (type === "text" && typeof value === "string") return encodeText(value);
  if (type === "texts" && Array.isArray(value)) {
    return concatBytes([encodeFixed("u32", value.length), ...value.map(encodeText)]);
  }
  if (type === "bytes" && value instanceof Uint8Array) return value;
  if (isFixed(type) && typeof value === "number") {
    const [least, most] = FIXED_RANGES[type];
    if (Number.isInteger(value) && value >= least && value <= most) return encodeFixed(type, value);
  }
  throw new ProtocolError(`Cannot encode ${field}: ${String(value)} is no ${type}`);
}

function encodeText(text: string): Uint8Array {
  const bytes = encoder.encode(text);
  return concatBytes([encodeFixed("u32", bytes.length), bytes]);
}

function encodeFixed(type: FixedType, value: number): Uint8Array {
  const bytes = new Uint8Array(FIXED_BYTES[type]);
  const view = new DataView(bytes.buffer);
  if (type === "u8") view.setUint8(0, value);
  else if (type === "u16") view.setUint16(0, value, true);
  else if (type === "u32") view.setUint32(0, value, true);
  else if (type === "i32") view.setInt32(0, value, true);
  else view.setBigUint64(0, BigInt(value), true);
  return bytes;
}

function isFixed(type: FieldType): type is FixedType {
  return type in FIXED_BYTES;
}

/** Reads fields in order and refuses to read past the end, or to leave anything over. */
class PayloadReader {
  readonly #view: DataView;
  readonly #bytes: Uint8Array;
  readonly #name: string;
  #offset = 0;

  constructor(name: string, bytes: Uint8Array) {
    this.#name = name;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read(type: FieldType): Value {
    if (type === "bytes") return this.#take(this.#bytes.length - this.#offset);
    if (type === "text") return this.#text();
    if (type === "texts") return this.#texts();
    return this.#fixed(type);
  }

  finish(): void {
    if (this.#offset !== this.#bytes.length)
      this.#refuse(`${this.#bytes.length - this.#offset} bytes are left over`);
  }

  #fixed(type: FixedType): number {
    const offset = this.#offset;
    this.#take(FIXED_BYTES[type]);
    if (type === "u8") return this.#view.getUint8(offset);
    if (type === "u16") return this.#view.getUint16(offset, true);
    if (type === "u32") return this.#view.getUint32(offset, true);
    if (type === "i32") return this.#view.getInt32(offset, true);
    const value = Number(this.#view.getBigUint64(offset, true));
    return value <= Number.MAX_SAFE_INTEGER ? value : this.#refuse("a u64 is not a safe integer");
  }

  #text(): string {
    return decoder.decode(this.#take(this.#fixed("u32")));
  }

  #texts(): string[] {
    const count = this.#fixed("u32");
    // Each text needs four bytes at least: a count that cannot be true is refused before it allocates anything.
    if (count > (this.#bytes.length - this.#offset) / 4) this.#refuse(`${count} texts do not fit`);
    return Array.from({ length: count }, () => this.#text());
  }

  #take(size: number): Uint8Array {
    const start = this.#offset;
    if (size > this.#bytes.length - start)
      this.#refuse(`it ends ${size - (this.#bytes.length - start)} bytes early`);
    this.#offset += size;
    return this.#bytes.subarray(start, start + size);
  }

  #refuse(reason: string): never {
    throw new ProtocolError(`Cannot decode ${this.#name}: ${reason}`);
  }
}
