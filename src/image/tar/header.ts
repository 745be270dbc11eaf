/**
 * Decodes and checks a tar header block of the v7, ustar or GNU format.
 *
 * Source: POSIX.1-2017, `pax`, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
 *
 * @module
 */

import { TarInvalidError } from "../errors.ts";
import { byteString } from "../tree/byte_string.ts";
import type { ByteString } from "../tree/tree.ts";

export const TAR_BLOCK_BYTES = 512;

/** The fields of one header. */
export interface TarHeader {
  /** Name, including ustar's prefix. */
  readonly name: ByteString;
  readonly typeFlag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeSeconds: number;
  readonly linkName: ByteString;
  readonly major: number;
  readonly minor: number;
}

const MAGIC_USTAR = "ustar\x00";
const SPACE = 0x20;
const DIGIT_ZERO = 0x30;
const CHECKSUM_OFFSET = 148;
const CHECKSUM_BYTES = 8;

/** Returns whether the block is all zeros. Two such blocks end a tar. */
export function isZeroBlock(block: Uint8Array): boolean {
  return block[0] === 0 && block.every((byte) => byte === 0);
}

/** Returns whether `block` is a header with a valid checksum. */
export function isTarHeader(block: Uint8Array): boolean {
  if (block.length < TAR_BLOCK_BYTES || isZeroBlock(block.subarray(0, TAR_BLOCK_BYTES))) return false;
  try {
    return isChecksumRight(block);
  } catch {
    return false; // the checksum field holds no number
  }
}

/**
 * Decodes a header block.
 *
 * @param previous The member before it, which errors name if this block has no usable name.
 * @throws {TarInvalidError}
 */
export function decodeHeader(block: Uint8Array, previous: ByteString | undefined): TarHeader {
  const isUstar = textField(block, 257, 6, false) === MAGIC_USTAR;
  const isMarked = isUstar || textField(block, 257, 5, false) === "ustar";
  const shortName = textField(block, 0, 100);
  const prefix = isUstar ? textField(block, 345, 155) : "";
  const name = prefix === "" ? shortName : `${prefix}/${shortName}`;
  const blamed = isMarked ? name : previous;
  try {
    if (!isChecksumRight(block)) throw new FieldProblem("a header's checksum is wrong");
    return {
      name,
      typeFlag: String.fromCharCode(block[156]!),
      mode: numberField(block, 100, 8, "mode"),
      uid: numberField(block, 108, 8, "uid"),
      gid: numberField(block, 116, 8, "gid"),
      sizeBytes: numberField(block, 124, 12, "size"),
      mtimeSeconds: numberField(block, 136, 12, "mtime"),
      linkName: textField(block, 157, 100),
      major: isMarked ? numberField(block, 329, 8, "device major number") : 0,
      minor: isMarked ? numberField(block, 337, 8, "device minor number") : 0,
    };
  } catch (error) {
    if (!(error instanceof FieldProblem)) throw error;
    const after = blamed === previous && previous !== undefined ? " (the header after this member)" : "";
    throw new TarInvalidError(blamed, `${error.message}${after}`);
  }
}

/**
 * Decodes a number: octal digits or, if the top bit is set, big-endian two's complement (GNU's base 256).
 *
 * @throws {FieldProblem}
 */
export function numberField(block: Uint8Array, offset: number, length: number, what: string): number {
  const value =
    block[offset]! & 0x80 ? binaryNumber(block, offset, length) : octalNumber(block, offset, length);
  if (value === undefined || !Number.isSafeInteger(value))
    throw new FieldProblem(`its ${what} is not a usable number`);
  return value;
}

/** A header field is invalid. The caller adds the member's name. */
export class FieldProblem extends Error {}

function binaryNumber(block: Uint8Array, offset: number, length: number): number {
  const isNegative = (block[offset]! & 0x40) !== 0;
  let value = isNegative ? (block[offset]! | 0x80) - 0x100 : block[offset]! & 0x7f;
  for (let at = 1; at < length; at++) value = value * 256 + block[offset + at]!; // unsafe integers are refused above
  return value;
}

/** Decodes octal digits after spaces, up to a space or a NUL. No digits mean zero. */
function octalNumber(block: Uint8Array, offset: number, length: number): number | undefined {
  const end = offset + length;
  let at = offset;
  while (at < end && block[at] === SPACE) at++;
  let value = 0;
  for (; at < end && block[at] !== SPACE && block[at] !== 0; at++) {
    const digit = block[at]! - DIGIT_ZERO;
    if (digit < 0 || digit > 7) return undefined;
    value = value * 8 + digit;
  }
  return value;
}

/** Returns the field's bytes up to the first NUL, or all of them. */
function textField(block: Uint8Array, offset: number, length: number, untilNul = true): ByteString {
  const field = block.subarray(offset, offset + length);
  const end = untilNul ? field.indexOf(0) : -1;
  return byteString(end === -1 ? field : field.subarray(0, end));
}

/** Compares the checksum with the sum of all bytes, counting its own as spaces. Some old tars summed signed bytes. */
function isChecksumRight(block: Uint8Array): boolean {
  const stated = numberField(block, CHECKSUM_OFFSET, CHECKSUM_BYTES, "header's checksum");
  let unsigned = CHECKSUM_BYTES * 0x20;
  let highBytes = 0;
  for (let at = 0; at < TAR_BLOCK_BYTES; at++) {
    if (at >= CHECKSUM_OFFSET && at < CHECKSUM_OFFSET + CHECKSUM_BYTES) continue;
    unsigned += block[at]!;
    if (block[at]! > 0x7f) highBytes++;
  }
  return stated === unsigned || stated === unsigned - highBytes * 0x100;
}
