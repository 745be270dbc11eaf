/** Integers wider than 32 bits, which ext4 stores as a low half here and a high half elsewhere. @module */

const TWO_POW_32 = 2 ** 32;

/** Bits 0 to 31 of a non-negative safe integer. */
export function lowHalf(value: number): number {
  return value % TWO_POW_32;
}

/** Bits 32 and up of a non-negative safe integer. */
export function highHalf(value: number): number {
  return Math.floor(value / TWO_POW_32);
}

export function joinHalves(low: number, high: number): number {
  return high * TWO_POW_32 + low;
}

/** A view of the same bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
