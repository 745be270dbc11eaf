/**
 * Strings and arrays of strings in the shape that C functions read.
 *
 * @module
 */
import { assert } from "../base/assert.ts";
import { type Bytes, encodeUtf8 } from "../base/bytes.ts";
import type { NativeInterface } from "./symbol_table.ts";

const POINTER_BYTES = 8;

/** `text` in UTF-8 with the terminating NUL. Callers refuse a NUL inside before they come here. */
export function cString(text: string): Bytes {
  assert(!text.includes("\0"), "a C string has no NUL inside");
  return encodeUtf8(`${text}\0`);
}

// Memory whose address was handed out as a number: the collector cannot see that use.
const pinned = new Set<object>();

/** Calls `use` with the address of `bytes`, which stays good until `use` returns. */
export function withAddress<R>(native: NativeInterface, bytes: Bytes, use: (address: bigint) => R): R {
  pinned.add(bytes);
  try {
    return use(native.addressOf(bytes));
  } finally {
    pinned.delete(bytes);
  }
}

/** Calls `use` with a `char *const[]` of `words`, closed by NULL. It is good until `use` returns. */
export function withCStringArray<R>(
  native: NativeInterface,
  words: readonly string[],
  use: (array: Bytes) => R,
): R {
  const strings = words.map(cString);
  const array = new BigUint64Array(words.length + 1);
  pinned.add(strings);
  try {
    strings.forEach((string, index) => {
      array[index] = native.addressOf(string);
    });
    return use(new Uint8Array(array.buffer, 0, array.length * POINTER_BYTES));
  } finally {
    pinned.delete(strings);
  }
}
