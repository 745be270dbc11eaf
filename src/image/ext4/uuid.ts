/** UUIDs as the 16 bytes that disks hold, in the order in which they are written. @module */
import { Buffer } from "node:buffer";
import type { Bytes } from "../../base/bytes.ts";

const PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Returns `undefined` for text that is not a UUID. */
export function parseUuid(text: string): Bytes | undefined {
  return PATTERN.test(text) ? new Uint8Array(Buffer.from(text.replaceAll("-", ""), "hex")) : undefined;
}

/** Lower case, with hyphens. */
export function formatUuid(bytes: Uint8Array): string {
  const digits = Buffer.from(bytes).toString("hex");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
