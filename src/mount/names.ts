/**
 * File names as strings, without loss. A name of Linux is any bytes but `/` and zero. What is not UTF-8 in it becomes lone
 * surrogates (U+DC80 to U+DCFF, a byte each), which no UTF-8 gives, so that every name has a string and comes back the same.
 * Python does so as well (PEP 383).
 *
 * @module
 */
import { FileSystemError } from "./errno.ts";

/** Longest name, in bytes: NAME_MAX of Linux. */
export const NAME_BYTES_MAX = 255;
/** Longest path, in bytes: PATH_MAX of Linux, without the zero. */
export const PATH_BYTES_MAX = 4095;

const ESCAPE = 0xdc00;
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

/** The string of a name or of a link's target. */
export function decodeName(bytes: Uint8Array): string {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return decodeEscaping(bytes);
  }
}

/** The bytes of a string that {@linkcode decodeName} gave, or of any other. */
export function encodeName(name: string): Uint8Array<ArrayBuffer> {
  return name.isWellFormed() ? encoder.encode(name) : encodeEscaped(name);
}

/** The name of an entry, checked. @throws {FileSystemError} */
export function checkedName(bytes: Uint8Array): string {
  if (bytes.length > NAME_BYTES_MAX) throw new FileSystemError("ENAMETOOLONG");
  if (bytes.length === 0 || bytes.includes(0) || bytes.includes(0x2f)) throw new FileSystemError("EINVAL");
  const name = decodeName(bytes);
  if (name === "." || name === "..") throw new FileSystemError("EINVAL");
  return name;
}

/** Decodes the longest valid sequence at each place; where there is none, a byte is escaped. */
function decodeEscaping(bytes: Uint8Array): string {
  let text = "";
  for (let offset = 0; offset < bytes.length; ) {
    const size = sequenceBytes(bytes, offset);
    if (size === 0) text += String.fromCharCode(ESCAPE + (bytes[offset++] ?? 0));
    else {
      text += strictDecoder.decode(bytes.subarray(offset, offset + size));
      offset += size;
    }
  }
  return text;
}

/** The bytes of the valid UTF-8 sequence at `offset`; 0 if there is none. */
function sequenceBytes(bytes: Uint8Array, offset: number): number {
  const first = bytes[offset] ?? 0;
  const size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 0;
  if (size === 0 || offset + size > bytes.length) return 0;
  try {
    strictDecoder.decode(bytes.subarray(offset, offset + size));
    return size;
  } catch {
    return 0;
  }
}

function encodeEscaped(name: string): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [];
  for (const character of name) {
    const code = character.codePointAt(0) ?? 0;
    if (code >= ESCAPE + 0x80 && code <= ESCAPE + 0xff) bytes.push(code - ESCAPE);
    else bytes.push(...encoder.encode(character)); // another lone surrogate becomes U+FFFD
  }
  return Uint8Array.from(bytes);
}
