/** Small stand-ins for native libraries. @module */

const HEADER_BYTES = 64;

/** A 64-bit ELF file that has nothing but the names of its dynamic symbols. No loader would take it. */
export function elfLibrary(names: readonly string[]): Buffer {
  const strings = Buffer.from(`\0${names.map((name) => `${name}\0`).join("")}`);
  const header = Buffer.alloc(HEADER_BYTES);
  header.write("\x7fELF\x02\x01\x01", "latin1");
  header.writeBigUInt64LE(BigInt(HEADER_BYTES + strings.length), 40); // where the section headers are
  header.writeUInt16LE(HEADER_BYTES, 58); // size of one, and their number
  header.writeUInt16LE(3, 60);
  const nothing = Buffer.alloc(HEADER_BYTES);
  const symbols = Buffer.alloc(HEADER_BYTES);
  symbols.writeUInt32LE(11, 4); // SHT_DYNSYM …
  symbols.writeUInt32LE(2, 40); // … whose names are in section 2
  const table = Buffer.alloc(HEADER_BYTES);
  table.writeUInt32LE(3, 4); // SHT_STRTAB
  table.writeBigUInt64LE(BigInt(HEADER_BYTES), 24);
  table.writeBigUInt64LE(BigInt(strings.length), 32);
  return Buffer.concat([header, strings, nothing, symbols, table]);
}
