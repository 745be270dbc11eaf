/** MAC addresses as bytes. @module */

/** The six bytes of a MAC address. */
export function macBytes(mac: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(mac.split(":").map((byte) => Number.parseInt(byte, 16)));
}
