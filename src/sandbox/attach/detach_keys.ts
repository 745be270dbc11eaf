/**
 * The keys that leave a program running on its terminal: how they are written, and how they are found in what is typed.
 *
 * @module
 */
import { concatBytes } from "../../base/bytes.ts";

/** As with Docker. */
export const DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q";

/** A person types them one after the other. */
const KEYS_MAX = 16;
const KEY = /^(?:ctrl-(?<control>[a-zA-Z@[\\\]^_])|(?<character>[!-~]))$/;
/** Of a letter, the five bits that the control key leaves. */
const CONTROL_BITS = 0x1f;

/** What is wrong with detach keys, and what would do. */
export const DETACH_KEYS_RULE = `must be 1 to ${KEYS_MAX} keys with commas between them, each a character or ctrl- and one of a to z, @, [, \\, ], ^ and _, such as "${DEFAULT_DETACH_KEYS}"`;

/** The bytes that a terminal sends for these keys; `undefined` for a text that does not follow {@linkcode DETACH_KEYS_RULE}. */
export function parseDetachKeys(text: string): Uint8Array | undefined {
  const keys = text.split(",").map((key) => KEY.exec(key)?.groups);
  if (keys.length > KEYS_MAX || keys.includes(undefined)) return undefined;
  const bytes = keys.map((key) => {
    const { control, character = "" } = key ?? {};
    return control === undefined ? character.charCodeAt(0) : control.charCodeAt(0) & CONTROL_BITS;
  });
  return Uint8Array.from(bytes);
}

/** What of the input goes to the program. */
export interface Typed {
  readonly data: Uint8Array;
  /** Whether the keys followed. What was typed after them is dropped. */
  readonly isDetached: boolean;
}

const ESCAPE = 0x1b;
/** A key as the keyboard protocols send it that programs switch on: kitty's (`CSI 112;5u`), and xterm's (`CSI 27;5;112~`). */
const ENCODED_KEY =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with one
  /^\x1b\[(?:(?<kitty>\d{1,7})(?::\d{0,7}){0,2};(?<kittyModifiers>\d{1,3})(?::[12])?u|27;(?<modifiers>\d{1,3});(?<code>\d{1,7})~)/;
const ENCODED_KEY_BYTES_MAX = 40;
/** Modifiers are sent as one more than their bits. Control is alone, whether or not capitals and numbers are locked. */
const CONTROL_MODIFIER = 4;
const LOCK_MODIFIERS = 64 | 128;

/**
 * Looks for the keys in input that comes in pieces of any size. Those that have come so far are held back; once another key
 * follows, they go to the program before it.
 */
export class DetachKeys {
  readonly #keys: Uint8Array;
  /** By the number of keys that have come: how many of them may be the beginning, if the next does not follow. */
  readonly #fallback: readonly number[];
  /** The keys that have come so far, as they were sent. */
  #held: Uint8Array[] = [];

  constructor(keys: Uint8Array) {
    this.#keys = keys;
    this.#fallback = fallbacks(keys);
  }

  take(chunk: Uint8Array): Typed {
    const passed: Uint8Array[] = [];
    for (let at = 0; at < chunk.length; ) {
      const key = this.#nextKey(chunk, at);
      at += key.length;
      const count = this.#advance(byteOf(key));
      this.#held.push(key);
      passed.push(...this.#held.splice(0, this.#held.length - count));
      if (count < this.#keys.length) continue;
      this.#held = [];
      return { data: concatBytes(passed), isDetached: true };
    }
    return { data: concatBytes(passed), isDetached: false };
  }

  /** The key at `at`; or, where none is held, all that comes before one that may be the first. */
  #nextKey(chunk: Uint8Array, at: number): Uint8Array {
    const isFirst = (byte: number) => byte === this.#keys[0] || byte === ESCAPE;
    if (this.#held.length === 0 && !isFirst(chunk[at] ?? 0)) {
      const length = chunk.subarray(at).findIndex(isFirst);
      return length < 0 ? chunk.subarray(at) : chunk.subarray(at, at + length);
    }
    const encoded = chunk[at] === ESCAPE ? encodedKey(chunk.subarray(at, at + ENCODED_KEY_BYTES_MAX)) : null;
    return chunk.subarray(at, at + (encoded?.[0].length ?? 1));
  }

  /** How many keys have come with this one. */
  #advance(byte: number | undefined): number {
    let count = this.#held.length;
    while (count > 0 && this.#keys[count] !== byte) count = this.#fallback[count] ?? 0;
    return this.#keys[count] === byte ? count + 1 : count;
  }
}

function encodedKey(bytes: Uint8Array): RegExpExecArray | null {
  return ENCODED_KEY.exec(String.fromCharCode(...bytes));
}

/** The byte that stands for a key in {@linkcode parseDetachKeys}; `undefined` for one that has none, and for several. */
function byteOf(key: Uint8Array): number | undefined {
  if (key.length === 1) return key[0];
  if (key[0] !== ESCAPE) return undefined;
  const { kitty, kittyModifiers, code, modifiers } = encodedKey(key)?.groups ?? {};
  const pressed = (Number(kittyModifiers ?? modifiers) - 1) & ~LOCK_MODIFIERS;
  if (pressed !== CONTROL_MODIFIER) return undefined;
  const character = String.fromCodePoint(Math.min(Number(kitty ?? code), 0x7f));
  return parseDetachKeys(`ctrl-${character}`)?.[0];
}

/** The table of Knuth, Morris and Pratt. */
function fallbacks(keys: Uint8Array): number[] {
  const table = [0, 0];
  for (let length = 2, held = 0; length <= keys.length; length++) {
    const byte = keys[length - 1];
    while (held > 0 && keys[held] !== byte) held = table[held] ?? 0;
    if (keys[held] === byte) held++;
    table[length] = held;
  }
  return table;
}
