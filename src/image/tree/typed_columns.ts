/**
 * Tables without an object for each row: numbers in columns, names in pages of bytes. For what an image has hundreds of
 * thousands of.
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

/** Numbers by row. What they may be, the type of the array says that they are kept in. */
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

  /** Adds a row. Gives its number. */
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
    assert(this.#values[row] === value, "a number fits its column"); // arrays cut it and say nothing
  }

  /** The old memory goes at once, not when a collector finds it. */
  #grow(): void {
    const { buffer } = this.#values;
    const byteLength = 2 * this.#values.length * this.#type.BYTES_PER_ELEMENT;
    this.#values = new this.#type((buffer as ArrayBuffer).transfer(byteLength)); // made in the constructor
  }
}

/** Names, one behind the other. A name is known by where it is and how long it is. */
export class NamePages {
  readonly #pages = [Buffer.allocUnsafeSlow(PAGE_BYTES)];
  #used = 0;

  /** Takes a name that is shorter than a page. Gives where it is. */
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

  /** Whether `name`, whose length is the kept one's, is the kept one. */
  equals(position: number, name: ByteString): boolean {
    const offset = position % PAGE_BYTES;
    const page = this.#pages[(position - offset) / PAGE_BYTES]!;
    for (let at = 0; at < name.length; at++) {
      if (page[offset + at] !== name.charCodeAt(at)) return false;
    }
    return true;
  }
}
