/**
 * Tables without an object per row, for data that an image has hundreds of thousands of: numbers in typed columns,
 * names in pages of bytes.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { assert } from "../../base/assert.ts";
import { MiB } from "../../base/bytes.ts";
import type { ByteString } from "./tree.ts";

const ROWS_FIRST = 1024;
const PAGE_BYTES = 1 * MiB;

type NumberArray = Uint8Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

interface NumberArrayType {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer): NumberArray;
}

/** A column of numbers. The type of its array decides which numbers fit. */
export class Column {
  readonly #type: NumberArrayType;
  #values: NumberArray;
  #length = 0;

  constructor(type: NumberArrayType) {
    this.#type = type;
    this.#values = new type(new ArrayBuffer(ROWS_FIRST * type.BYTES_PER_ELEMENT));
  }

  get length(): number {
    return this.#length;
  }

  /** Adds a row and returns its number. */
  push(value: number): number {
    if (this.#length === this.#values.length) this.#grow();
    this.set(this.#length, value);
    return this.#length++;
  }

  at(row: number): number {
    return this.#values[row]!;
  }

  set(row: number, value: number): void {
    this.#values[row] = value;
    assert(this.#values[row] === value, "a number fits its column"); // typed arrays truncate silently
  }

  /** Doubles the column. Frees the old memory at once rather than at the next garbage collection. */
  #grow(): void {
    const { buffer } = this.#values;
    const byteLength = 2 * this.#values.length * this.#type.BYTES_PER_ELEMENT;
    this.#values = new this.#type((buffer as ArrayBuffer).transfer(byteLength)); // made in the constructor
  }
}

/** Names, one after the other. A name is identified by its position and length. */
export class NamePages {
  readonly #pages = [Buffer.allocUnsafeSlow(PAGE_BYTES)];
  #used = 0;

  /** Adds a name that is shorter than a page. Returns its position. */
  add(name: ByteString): number {
    if (this.#used + name.length > PAGE_BYTES) {
      this.#pages.push(Buffer.allocUnsafeSlow(PAGE_BYTES));
      this.#used = 0;
    }
    const page = this.#pages.length - 1;
    const offset = this.#used;
    this.#used += this.#pages[page]!.write(name, offset, "latin1");
    return page * PAGE_BYTES + offset;
  }

  get(position: number, length: number): ByteString {
    const offset = position % PAGE_BYTES;
    return this.#pages[(position - offset) / PAGE_BYTES]!.toString("latin1", offset, offset + length);
  }

  /** Returns whether the name at `position` equals `name`. Both must have the same length. */
  equals(position: number, name: ByteString): boolean {
    const offset = position % PAGE_BYTES;
    const page = this.#pages[(position - offset) / PAGE_BYTES]!;
    for (let at = 0; at < name.length; at++) {
      if (page[offset + at] !== name.charCodeAt(at)) return false;
    }
    return true;
  }
}
