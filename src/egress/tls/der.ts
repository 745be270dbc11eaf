/**
 * Writes ASN.1 in its distinguished encoding (ITU-T X.690), and finds fields in it: as much as certificates take.
 *
 * Verifying certificates is left to the runtime's TLS. Nothing here reads what a guest or a server sent.
 *
 * @module
 */
import { type Bytes, concatBytes, encodeUtf8 } from "../../base/bytes.ts";

/** Tags of the universal class that certificates use. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** An element: tag, length, content. */
export function element(tag: number, ...content: readonly Uint8Array[]): Bytes {
  const body = concatBytes(content);
  return concatBytes([Uint8Array.of(tag, ...lengthBytes(body.length)), body]);
}

/** A SEQUENCE of elements. */
export function sequence(...elements: readonly Uint8Array[]): Bytes {
  return element(TAG.sequence, ...elements);
}

/** An element of the context-specific class: with `isConstructed` it holds elements, else bytes. */
export function contextTag(number: number, isConstructed: boolean, ...content: readonly Uint8Array[]): Bytes {
  return element(0x80 | (isConstructed ? 0x20 : 0) | number, ...content);
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Bytes {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  return element(TAG.objectIdentifier, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** A non-negative INTEGER of any size, from its bytes with the highest first. */
export function unsignedInteger(bytes: Uint8Array): Bytes {
  const start = bytes.findIndex((byte) => byte !== 0);
  const digits = start === -1 ? Uint8Array.of(0) : bytes.subarray(start);
  // A set highest bit would make it negative.
  return digits[0]! >= 0x80 ? element(TAG.integer, Uint8Array.of(0), digits) : element(TAG.integer, digits);
}

/** A BOOLEAN that is true; one that is false is the default wherever certificates have one, and is left out. */
export const TRUE: Bytes = element(TAG.boolean, Uint8Array.of(0xff));

/** A BIT STRING of whole bytes, or with `unusedBits` at the end of the last. */
export function bitString(bytes: Uint8Array, unusedBits = 0): Bytes {
  return element(TAG.bitString, Uint8Array.of(unusedBits), bytes);
}

/** A UTF8String. */
export function utf8String(text: string): Bytes {
  return element(TAG.utf8String, encodeUtf8(text));
}

/** A time as RFC 5280 section 4.1.2.5 wants it: UTCTime through 2049, GeneralizedTime after. Whole seconds. */
export function time(date: Date): Bytes {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return date.getUTCFullYear() < 2050
    ? element(TAG.utcTime, encodeUtf8(digits.slice(2)))
    : element(TAG.generalizedTime, encodeUtf8(digits));
}

/** One element, where it stands. */
export interface Element {
  readonly tag: number;
  /** Tag and length included. */
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

/** The elements that stand one after the other in `bytes`. @throws {RangeError} if one reaches past the end. */
export function elementsOf(bytes: Uint8Array): Element[] {
  const elements: Element[] = [];
  for (let start = 0; start < bytes.length; ) {
    const { tag, contentStart, end } = headerAt(bytes, start);
    elements.push({ tag, whole: bytes.subarray(start, end), content: bytes.subarray(contentStart, end) });
    start = end;
  }
  return elements;
}

function headerAt(bytes: Uint8Array, start: number): { tag: number; contentStart: number; end: number } {
  const tag = bytes[start] ?? 0;
  const first = bytes[start + 1] ?? 0;
  const digits = first < 0x80 ? 0 : first - 0x80;
  const contentStart = start + 2 + digits;
  const length =
    digits === 0 ? first : bytes.subarray(start + 2, contentStart).reduce((sum, byte) => sum * 256 + byte, 0);
  const end = contentStart + length;
  if (!Number.isSafeInteger(end) || end > bytes.length)
    throw new RangeError("an element reaches past the end");
  return { tag, contentStart, end };
}

function lengthBytes(length: number): number[] {
  if (length < 0x80) return [length];
  const digits: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) digits.unshift(rest % 256);
  return [0x80 | digits.length, ...digits];
}

/** Seven bits a byte, the highest first; all but the last have the highest bit set. */
function base128(number: number): number[] {
  const digits = [number % 128];
  for (let rest = Math.floor(number / 128); rest > 0; rest = Math.floor(rest / 128))
    digits.unshift(0x80 | (rest % 128));
  return digits;
}
