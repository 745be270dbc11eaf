/**
 * Replies to a guest's kernel.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import type { FileType, ProviderAttributes } from "../provider.ts";
import { ATTRIBUTES_BYTES, ENTRY_OUT_BYTES, OUT_HEADER_BYTES, TYPE_BITS } from "./constants.ts";

const BILLION = 1_000_000_000n;
/** Optimal size of reads and writes, as stat(2) tells it. */
const BLOCK_BYTES = 4096;
const SECTOR_BYTES = 512;
const U64_MAX = 2n ** 64n - 1n;

/** How long the kernel may use what it was told, in milliseconds. */
export interface Validity {
  readonly entryMs: number;
  readonly attributesMs: number;
}

/** A reply of `bodyBytes` bytes behind the header, and a view of them to be filled. */
export function reply(unique: bigint, bodyBytes: number): { readonly bytes: Bytes; readonly body: DataView } {
  const bytes = new Uint8Array(OUT_HEADER_BYTES + bodyBytes);
  writeHeader(bytes, unique, 0);
  return { bytes, body: new DataView(bytes.buffer, OUT_HEADER_BYTES) };
}

/** A reply with these bytes. */
export function dataReply(unique: bigint, data: Uint8Array): Bytes {
  const bytes = new Uint8Array(OUT_HEADER_BYTES + data.length);
  writeHeader(bytes, unique, 0);
  bytes.set(data, OUT_HEADER_BYTES);
  return bytes;
}

/** A reply without content: done, or failed with an error number. */
export function statusReply(unique: bigint, errno: number): Bytes {
  const bytes = new Uint8Array(OUT_HEADER_BYTES);
  writeHeader(bytes, unique, -errno);
  return bytes;
}

/** A message that answers nothing. */
export function notification(
  code: number,
  bodyBytes: number,
): { readonly bytes: Bytes; readonly body: DataView } {
  const bytes = new Uint8Array(OUT_HEADER_BYTES + bodyBytes);
  writeHeader(bytes, 0n, code);
  return { bytes, body: new DataView(bytes.buffer, OUT_HEADER_BYTES) };
}

function writeHeader(bytes: Bytes, unique: bigint, error: number): void {
  const view = new DataView(bytes.buffer);
  view.setUint32(0, bytes.length, true);
  view.setInt32(4, error, true);
  view.setBigUint64(8, unique, true);
}

/** `fuse_attr`. */
export function writeAttributes(view: DataView, offset: number, node: bigint, of: ProviderAttributes): void {
  view.setBigUint64(offset, BigInt.asUintN(64, of.inode === 0n ? node : of.inode), true);
  view.setBigUint64(offset + 8, BigInt(of.size), true);
  view.setBigUint64(offset + 16, BigInt(Math.ceil((of.allocated ?? of.size) / SECTOR_BYTES)), true);
  writeTime(view, offset + 24, offset + 48, of.accessedNs);
  writeTime(view, offset + 32, offset + 52, of.modifiedNs);
  writeTime(view, offset + 40, offset + 56, of.changedNs);
  view.setUint32(offset + 60, TYPE_BITS[of.type] | (of.mode & 0o7777), true);
  view.setUint32(offset + 64, of.links ?? 1, true);
  view.setUint32(offset + 68, of.uid, true);
  view.setUint32(offset + 72, of.gid, true);
  view.setUint32(offset + 76, of.special ?? 0, true);
  view.setUint32(offset + 80, BLOCK_BYTES, true);
  view.setUint32(offset + 84, 0, true);
}

/** `fuse_entry_out`. A `node` of 0 says that there is no such entry, and may be remembered. */
export function writeEntry(
  view: DataView,
  offset: number,
  node: bigint,
  of: ProviderAttributes | undefined,
  { entryMs, attributesMs }: Validity,
): void {
  view.setBigUint64(offset, node, true);
  view.setBigUint64(offset + 8, 0n, true); // node numbers are never used again
  view.setBigUint64(offset + 16, BigInt(Math.trunc(entryMs / 1000)), true);
  view.setBigUint64(offset + 24, BigInt(Math.trunc(attributesMs / 1000)), true);
  view.setUint32(offset + 32, (entryMs % 1000) * 1_000_000, true);
  view.setUint32(offset + 36, (attributesMs % 1000) * 1_000_000, true);
  if (of !== undefined) writeAttributes(view, offset + ENTRY_OUT_BYTES - ATTRIBUTES_BYTES, node, of);
}

/** The reply to `getattr` and `setattr`. */
export function attributesReply(
  unique: bigint,
  node: bigint,
  of: ProviderAttributes,
  { attributesMs }: Validity,
): Bytes {
  const { bytes, body } = reply(unique, 16 + ATTRIBUTES_BYTES);
  body.setBigUint64(0, BigInt(Math.trunc(attributesMs / 1000)), true);
  body.setUint32(8, (attributesMs % 1000) * 1_000_000, true);
  writeAttributes(body, 16, node, of);
  return bytes;
}

/** The kind of an entry in a directory: `DT_…`. */
export function directoryEntryType(type: FileType): number {
  return TYPE_BITS[type] >> 12;
}

function writeTime(view: DataView, secondsOffset: number, nanosecondsOffset: number, time: bigint): void {
  const nanoseconds = ((time % BILLION) + BILLION) % BILLION;
  const seconds = (time - nanoseconds) / BILLION;
  view.setBigUint64(secondsOffset, seconds & U64_MAX, true);
  view.setUint32(nanosecondsOffset, Number(nanoseconds), true);
}
