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

/**
 * Looks for the keys in input that comes in pieces of any size. Those that have come so far are held back; once another key
 * follows, they go to the program before it.
 */
export class DetachKeys {
  readonly #keys: Uint8Array;
  /** By the number of keys that have come: how many of them may be the beginning, if the next does not follow. */
  readonly #fallback: readonly number[];
  #held = 0;

  constructor(keys: Uint8Array) {
    this.#keys = keys;
    this.#fallback = fallbacks(keys);
  }

  take(chunk: Uint8Array): Typed {
    // Held keys are the beginning of the sequence: their bytes are known.
    const input = concatBytes([this.#keys.subarray(0, this.#held), chunk]);
    const first = this.#held;
    for (let index = first; index < input.length; index++) {
      this.#advance(input[index] ?? 0);
      if (this.#held < this.#keys.length) continue;
      this.#held = 0;
      return { data: input.subarray(0, index + 1 - this.#keys.length), isDetached: true };
    }
    return { data: input.subarray(0, input.length - this.#held), isDetached: false };
  }

  #advance(byte: number): void {
    while (this.#held > 0 && this.#keys[this.#held] !== byte) this.#held = this.#fallback[this.#held] ?? 0;
    if (this.#keys[this.#held] === byte) this.#held++;
  }
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
