/**
 * Fields of messages as bytes, driven by their definitions.
 *
 * @module
 */
import { type Bytes, concatBytes } from "../base/bytes.ts";
import { ProtocolError } from "./errors.ts";
import type { FieldType, MessageDefinition, SentText } from "./messages.ts";

export type FieldValues = Readonly<Record<string, Value>>;
type Value = number | bigint | string | readonly SentText[] | Uint8Array;

const encoder = new TextEncoder();
// What a guest sends may be anything: text that is not UTF-8 is shown with U+FFFD rather than refused.
const decoder = new TextDecoder();

const FIXED_BYTES = { u8: 1, u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 } as const;
type FixedType = keyof typeof FIXED_BYTES;
type SmallType = Exclude<FixedType, "i64">;

const FIXED_RANGES: Readonly<Record<SmallType, readonly [number, number]>> = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffff_ffff],
  i32: [-0x8000_0000, 0x7fff_ffff],
  u64: [0, Number.MAX_SAFE_INTEGER],
};
const I64_MIN = -(2n ** 63n);
const I64_MAX = 2n ** 63n - 1n;

/** The fields of a message, after `headBytes` bytes that the caller fills. @throws {ProtocolError} if a value does not fit. */
export function encodeFields(
  name: string,
  definition: MessageDefinition,
  values: FieldValues,
  headBytes = 0,
): Bytes {
  const parts: FieldPart[] = [];
  let size = headBytes;
  for (const field in definition.fields) {
    const type = definition.fields[field] as FieldType;
    const part = partOf(name, field, type, values[field]);
    size += part.size;
    parts.push(part);
  }
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let offset = headBytes;
  for (const part of parts) {
    write(view, bytes, offset, part);
    offset += part.size;
  }
  return bytes;
}

/** The fields of a message. @throws {ProtocolError} if the payload is not what the definition says. */
export function decodeFields(name: string, definition: MessageDefinition, payload: Uint8Array): FieldValues {
  const reader = new FieldReader(name, payload);
  const fields: Record<string, Value> = {};
  for (const field in definition.fields) fields[field] = reader.read(definition.fields[field] as FieldType);
  reader.finish();
  return fields;
}

interface FieldPart {
  readonly type: FieldType;
  /** A text is UTF-8 already. */
  readonly value: number | bigint | Uint8Array;
  readonly size: number;
}

function partOf(name: string, field: string, type: FieldType, value: Value | undefined): FieldPart {
  if (type === "text" && typeof value === "string") return sized(type, encoder.encode(value));
  if (type === "blob" && value instanceof Uint8Array) return sized(type, value);
  if (type === "bytes" && value instanceof Uint8Array) return { type, value, size: value.length };
  if (type === "texts" && Array.isArray(value)) {
    const texts = value.flatMap((text) => sizedText(typeof text === "string" ? encoder.encode(text) : text));
    const bytes = concatBytes([u32(value.length), ...texts]);
    return { type, value: bytes, size: bytes.length };
  }
  if (type === "i64" && typeof value === "bigint" && value >= I64_MIN && value <= I64_MAX)
    return { type, value, size: FIXED_BYTES.i64 };
  if (isSmall(type) && typeof value === "number") {
    const [least, most] = FIXED_RANGES[type];
    if (Number.isInteger(value) && value >= least && value <= most)
      return { type, value, size: FIXED_BYTES[type] };
  }
  throw new ProtocolError(`Cannot encode ${name}.${field}: ${String(value)} is no ${type}`);
}

function sized(type: FieldType, value: Uint8Array): FieldPart {
  return { type, value, size: 4 + value.length };
}

function sizedText(bytes: Uint8Array): Uint8Array[] {
  return [u32(bytes.length), bytes];
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function write(view: DataView, bytes: Uint8Array, offset: number, { type, value }: FieldPart): void {
  if (value instanceof Uint8Array) {
    const isSized = type === "text" || type === "blob";
    if (isSized) view.setUint32(offset, value.length, true);
    bytes.set(value, isSized ? offset + 4 : offset);
  } else if (typeof value === "bigint") view.setBigInt64(offset, value, true);
  else if (type === "u8") view.setUint8(offset, value);
  else if (type === "u16") view.setUint16(offset, value, true);
  else if (type === "u32") view.setUint32(offset, value, true);
  else if (type === "i32") view.setInt32(offset, value, true);
  else view.setBigUint64(offset, BigInt(value), true);
}

function isSmall(type: FieldType): type is SmallType {
  return type in FIXED_RANGES;
}

/** Reads fields in order and refuses to read past the end, or to leave anything over. */
class FieldReader {
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
    if (type === "blob") return this.#take(this.#fixed("u32"));
    if (type === "text") return this.#text();
    if (type === "texts") return this.#texts();
    if (type === "i64") return this.#i64();
    return this.#fixed(type);
  }

  finish(): void {
    if (this.#offset !== this.#bytes.length)
      this.#refuse(`${this.#bytes.length - this.#offset} bytes are left over`);
  }

  #i64(): bigint {
    const offset = this.#offset;
    this.#take(FIXED_BYTES.i64);
    return this.#view.getBigInt64(offset, true);
  }

  #fixed(type: SmallType): number {
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
