/**
 * CRC-32C (Castagnoli), the checksum of ext4 and EROFS: reflected polynomial 0x82F63B78, eight bytes a step
 * ("slicing-by-8").
 *
 * Source: RFC 3720, section 12.1 and appendix B.4 (test vectors).
 *
 * @module
 */

const POLYNOMIAL = 0x82f63b78;
const SLICES = 8;
const TABLES = buildTables();

/**
 * The checksum as RFC 3720 defines it: the register starts as all ones and is inverted at the end.
 *
 * @example
 * ```ts no-vm
 * import { crc32c } from "./crc32c.ts";
 *
 * console.log(crc32c(new TextEncoder().encode("123456789")).toString(16)); // e3069283
 * ```
 */
export function crc32c(bytes: Uint8Array): number {
  return (updateCrc32c(0xffff_ffff, bytes) ^ 0xffff_ffff) >>> 0;
}

/**
 * The bare register after `bytes`, not inverted: what Linux calls `crc32c(register, bytes)`. Starting with
 * `0xffffffff`, it is the form that file systems store; the result of one call goes into the next.
 */
export function updateCrc32c(register: number, bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = TABLES;
  const slicedEnd = bytes.length - (bytes.length % SLICES);
  let crc = register;
  let at = 0;
  for (; at < slicedEnd; at += SLICES) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t7[crc & 0xff]! ^
      t6[(crc >>> 8) & 0xff]! ^
      t5[(crc >>> 16) & 0xff]! ^
      t4[crc >>> 24]! ^
      t3[bytes[at + 4]!]! ^
      t2[bytes[at + 5]!]! ^
      t1[bytes[at + 6]!]! ^
      t0[bytes[at + 7]!]!;
  }
  for (; at < bytes.length; at++) crc = t0[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8);
  return crc >>> 0;
}

type Table = Int32Array;
type Tables = readonly [Table, Table, Table, Table, Table, Table, Table, Table];

/** Table `k` holds, for each byte, the register after that byte and `k` zero bytes. */
function buildTables(): Tables {
  const bytewise = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    return crc;
  });
  const withOneMoreZero = (table: Table): Table => table.map((crc) => bytewise[crc & 0xff]! ^ (crc >>> 8));
  const t1 = withOneMoreZero(bytewise);
  const t2 = withOneMoreZero(t1);
  const t3 = withOneMoreZero(t2);
  const t4 = withOneMoreZero(t3);
  const t5 = withOneMoreZero(t4);
  const t6 = withOneMoreZero(t5);
  return [bytewise, t1, t2, t3, t4, t5, t6, withOneMoreZero(t6)];
}
