/**
 * What a guest may send of a tree, as a test makes it up.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { FileKind } from "../../../src/agent/file_messages.ts";
import type { GuestEntry } from "../../../src/sandbox/files/host_tree/tree_writer.ts";

/** An entry of `walk`: a regular file, unless it is said otherwise. */
export function guestEntry(path: string | Uint8Array, fields: Partial<GuestEntry> = {}): GuestEntry {
  return {
    path: bytesOf(path),
    target: new Uint8Array(0),
    kind: FileKind.file,
    mode: 0o644,
    uid: 0,
    gid: 0,
    size: 0,
    allocated: 0,
    links: 1,
    device: 1n,
    inode: 1n,
    special: 0n,
    accessedNs: 0n,
    modifiedNs: 1_700_000_000_000_000_000n,
    changedNs: 0n,
    createdNs: 0n,
    ...fields,
  };
}

export function directoryEntry(path: string | Uint8Array, fields: Partial<GuestEntry> = {}): GuestEntry {
  return guestEntry(path, { kind: FileKind.directory, mode: 0o755, ...fields });
}

export function symlinkEntry(
  path: string | Uint8Array,
  target: string | Uint8Array,
  fields: Partial<GuestEntry> = {},
): GuestEntry {
  return guestEntry(path, { kind: FileKind.symlink, mode: 0o777, target: bytesOf(target), ...fields });
}

export function bytesOf(text: string | Uint8Array): Uint8Array {
  return typeof text === "string" ? Buffer.from(text) : text;
}
