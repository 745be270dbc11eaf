/**
 * Looks for a function in a library without loading it, which would run the library's own code.
 *
 * Source: "Tool Interface Standard ELF Specification" 1.2 and System V ABI, 64-bit objects, little endian.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { closeSync, openSync, readSync } from "node:fs";
import { MiB } from "../base/bytes.ts";
import { IoError } from "../base/errors.ts";

const MAGIC = "\x7fELF\x02\x01"; // 64 bits, little endian
const FILE_HEADER_BYTES = 64;
const SECTION_HEADER_BYTES = 64;
/** Type of the section that lists the dynamic symbols; its link leads to the section with their names. */
const SHT_DYNSYM = 11;
/** Far above what libraries have. */
const SECTIONS_MAX = 4096;
const NAMES_BYTES_MAX = 16 * MiB;

/**
 * Whether the library at `path` names the function among its dynamic symbols: it exports it, or at least uses it.
 *
 * @returns `undefined` if the file is no 64-bit ELF library, or its section headers were stripped.
 * @throws {IoError} if it cannot be read.
 */
export function namesFunction(path: string, name: string): boolean | undefined {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    return readNames(file)?.includes(`\0${name}\0`);
  } catch (error) {
    throw new IoError(`read ${path}`, path, error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** The string table of the dynamic symbols. */
function readNames(file: number): Buffer | undefined {
  const header = readAt(file, 0, FILE_HEADER_BYTES);
  if (header?.toString("latin1", 0, MAGIC.length) !== MAGIC) return undefined;
  const [entryBytes, count] = [header.readUInt16LE(58), header.readUInt16LE(60)];
  if (entryBytes !== SECTION_HEADER_BYTES || count > SECTIONS_MAX) return undefined;
  const table = readAt(file, Number(header.readBigUInt64LE(40)), count * SECTION_HEADER_BYTES);
  if (table === undefined) return undefined;
  const sections = Array.from({ length: count }, (_, index) =>
    table.subarray(index * SECTION_HEADER_BYTES, (index + 1) * SECTION_HEADER_BYTES),
  );
  const symbols = sections.find((section) => section.readUInt32LE(4) === SHT_DYNSYM);
  const names = symbols && sections[symbols.readUInt32LE(40)];
  return names && readAt(file, Number(names.readBigUInt64LE(24)), Number(names.readBigUInt64LE(32)));
}

/** `sizeBytes` at `offset`; `undefined` if the file ends before that, or no library is of such a size. */
function readAt(file: number, offset: number, sizeBytes: number): Buffer | undefined {
  if (!Number.isSafeInteger(offset) || sizeBytes > NAMES_BYTES_MAX) return undefined;
  const bytes = Buffer.alloc(sizeBytes);
  return readSync(file, bytes, 0, sizeBytes, offset) === sizeBytes ? bytes : undefined;
}
