/**
 * Parses the maps of sparse members of GNU tar, which tell to which parts of a file the data belongs. Supports all four
 * encodings: the old one, of type `S`, and the PAX versions 0.0, 0.1 and 1.0.
 *
 * Source: GNU tar manual, "Storing Sparse Files" and appendix "Sparse Formats".
 *
 * @module
 */
import { byteString } from "../tree/byte_string.ts";
import type { ByteString } from "../tree/tree.ts";
import { FieldProblem, numberField, TAR_BLOCK_BYTES } from "./header.ts";
import type { MemberSink } from "./member.ts";
import { type PaxRecords, paxInteger, paxValue } from "./pax.ts";

/** Most parts of a file. */
export const SPARSE_PARTS_MAX = 1_000_000;
const PART_BYTES = 24;

/** A part of a file whose data is in the tar. */
export interface SparsePart {
  readonly offsetBytes: number;
  readonly sizeBytes: number;
}

/** The old format's list, which may continue in further blocks. */
export class OldSparseList {
  readonly parts: SparsePart[] = [];
  readonly realBytes: number;
  /** Whether another block of parts follows. */
  isExtended: boolean;

  constructor(header: Uint8Array) {
    this.realBytes = numberField(header, 483, 12, "real size");
    this.isExtended = header[482] !== 0;
    this.#addParts(header, 386, 4);
  }

  addBlock(block: Uint8Array): void {
    this.isExtended = block[504] !== 0;
    this.#addParts(block, 0, 21);
  }

  #addParts(block: Uint8Array, offset: number, count: number): void {
    for (let index = 0; index < count; index++) {
      const at = offset + index * PART_BYTES;
      if (block[at] === 0) return; // an unused place
      const offsetBytes = numberField(block, at, 12, "sparse map");
      this.parts.push({ offsetBytes, sizeBytes: numberField(block, at + 12, 12, "sparse map") });
    }
    checkPartCount(this.parts.length);
  }
}

/** Sparse information from PAX records. */
export interface PaxSparse {
  readonly realBytes: number;
  /** The parts; `undefined` if the list precedes the data (version 1.0). */
  readonly parts: readonly SparsePart[] | undefined;
}

/** Parses the sparse records; returns `undefined` for an ordinary member. @throws {FieldProblem} */
export function paxSparse(records: PaxRecords): PaxSparse | undefined {
  if (!records.some(([key]) => key.startsWith("GNU.sparse."))) return undefined;
  const realBytes = paxInteger(records, "GNU.sparse.realsize") ?? paxInteger(records, "GNU.sparse.size");
  if (realBytes === undefined || realBytes < 0) throw new FieldProblem("its sparse map has no size");
  const major = paxInteger(records, "GNU.sparse.major") ?? 0;
  if (major > 1) throw new FieldProblem(`its sparse format ${major} is unknown`);
  if (major === 1) return { realBytes, parts: undefined };
  const map = paxValue(records, "GNU.sparse.map");
  const numbers = map === undefined ? numbersOfRecords(records) : map.split(",");
  return { realBytes, parts: pairUp(numbers) };
}

/** Returns the numbers of version 0.0, which has a pair of records for each part. */
function numbersOfRecords(records: PaxRecords): ByteString[] {
  return records
    .filter(([key]) => key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes")
    .map(([, value]) => value);
}

function pairUp(numbers: readonly ByteString[]): SparsePart[] {
  if (numbers.length === 1 && numbers[0] === "") return [];
  if (numbers.length % 2 !== 0) throw new FieldProblem("its sparse map is damaged");
  checkPartCount(numbers.length / 2);
  const parts: SparsePart[] = [];
  for (let index = 0; index < numbers.length; index += 2) {
    parts.push({ offsetBytes: parseNumber(numbers[index]!), sizeBytes: parseNumber(numbers[index + 1]!) });
  }
  return parts;
}

function parseNumber(text: ByteString): number {
  const value = /^[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new FieldProblem("its sparse map is damaged");
  return value;
}

function checkPartCount(count: number): void {
  if (count > SPARSE_PARTS_MAX)
    throw new FieldProblem(`its sparse map has more than ${SPARSE_PARTS_MAX} parts`);
}

/** Version 1.0's list in front of the data: lines with one number each, first their count, padded to whole blocks. */
export class LeadingSparseList {
  #text = "";
  #numbers: ByteString[] = [];
  #expected: number | undefined;

  /** Adds a block. Returns the list once it is complete. @throws {FieldProblem} */
  addBlock(block: Uint8Array): SparsePart[] | undefined {
    const lines = (this.#text + byteString(block.subarray(0, TAR_BLOCK_BYTES))).split("\n");
    this.#text = lines.pop()!;
    for (const line of lines) {
      if (this.#expected === undefined) {
        checkPartCount(parseNumber(line));
        this.#expected = parseNumber(line) * 2;
      } else if (this.#numbers.length < this.#expected) {
        this.#numbers.push(line);
      }
    }
    if (this.#expected === undefined || this.#numbers.length < this.#expected) {
      if (this.#text.length >= TAR_BLOCK_BYTES) throw new FieldProblem("its sparse map is damaged");
      return undefined;
    }
    return pairUp(this.#numbers);
  }
}

/** Spreads the data of a sparse member over the file. */
export class SparseSink implements MemberSink {
  readonly #sink: MemberSink;
  readonly #parts: readonly SparsePart[];
  readonly #realBytes: number;
  #partIndex = 0;
  #position = 0;

  /** @param parts Must have passed {@linkcode checkSparse}. */
  constructor(sink: MemberSink, parts: readonly SparsePart[], realBytes: number) {
    this.#sink = sink;
    this.#parts = parts;
    this.#realBytes = realBytes;
  }

  write(bytes: Uint8Array): void {
    let from = 0;
    while (from < bytes.length) {
      const part = this.#parts[this.#partIndex]!;
      const done = Math.max(0, this.#position - part.offsetBytes);
      const count = Math.min(bytes.length - from, part.sizeBytes - done);
      if (count === 0) {
        this.#partIndex++;
        continue;
      }
      this.#skipTo(part.offsetBytes + done);
      this.#sink.write(bytes.subarray(from, from + count));
      this.#position += count;
      from += count;
    }
  }

  writeZeros(count: number): void {
    this.#sink.writeZeros(count);
    this.#position += count;
  }

  end(): void {
    this.#skipTo(this.#realBytes);
    this.#sink.end();
  }

  #skipTo(offsetBytes: number): void {
    if (offsetBytes > this.#position) this.#sink.writeZeros(offsetBytes - this.#position);
    this.#position = offsetBytes;
  }
}

/** @throws {FieldProblem} The parts overlap, run backwards, exceed the file, or are not as much as the data. */
export function checkSparse(parts: readonly SparsePart[], realBytes: number, dataBytes: number): void {
  let end = 0;
  let sum = 0;
  for (const { offsetBytes, sizeBytes } of parts) {
    if (offsetBytes < end || sizeBytes < 0) throw new FieldProblem("its sparse map runs backwards");
    end = offsetBytes + sizeBytes;
    sum += sizeBytes;
  }
  if (end > realBytes) throw new FieldProblem("its sparse map exceeds the file's size");
  if (sum !== dataBytes) throw new FieldProblem(`its sparse map has ${sum} bytes, its data ${dataBytes}`);
}
