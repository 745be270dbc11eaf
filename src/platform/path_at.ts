/**
 * Paths that begin at an open directory, which is what openat(2) and its kin are for. `node:fs` has none of them; a path
 * through `/proc/self/fd` does the same: the kernel goes from the descriptor to the directory itself, whatever has become
 * of its name, and the one name behind it is resolved there.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { readlinkSync } from "node:fs";
import { errnoOf, UnsupportedError } from "../base/errors.ts";

/** The name of one entry of a directory, as `node:fs` takes it. Bytes where they are not UTF-8. */
export type EntryName = string | Buffer;

// Names that begin with a byte order mark keep it.
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Deno takes paths as text, and writes U+FFFD where bytes are not: it would make a file of another name. */
const TAKES_BYTES = !("Deno" in globalThis);

const REPLACEMENT = Buffer.from("\u{fffd}");

/** `bytes` as a name for `node:fs`; `undefined` if this runtime has no way to say it. */
export function entryNameOf(bytes: Uint8Array): EntryName | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return TAKES_BYTES ? Buffer.from(bytes) : undefined;
  }
}

/** Whether this runtime may have put a name in place of one that it cannot say. */
export function isPerhapsReplaced(name: Uint8Array): boolean {
  return !TAKES_BYTES && Buffer.from(name.buffer, name.byteOffset, name.length).includes(REPLACEMENT);
}

/** The path of `name` in the directory that is open as `descriptor`. `name` has no slash and is neither `.` nor `..`. */
export function pathAt(descriptor: number, name: EntryName): string | Buffer {
  const directory = `${directoryPath(descriptor)}/`;
  return typeof name === "string" ? directory + name : Buffer.concat([Buffer.from(directory), name]);
}

/** The path of the directory itself that is open as `descriptor`. */
export function directoryPath(descriptor: number): string {
  return `/proc/self/fd/${descriptor}`;
}

/** Checks that there is what paths of {@linkcode pathAt} need. @throws {UnsupportedError} */
export function checkPathAt(descriptor: number): void {
  try {
    readlinkSync(directoryPath(descriptor));
  } catch (error) {
    const message = `This system has no usable /proc (${errnoOf(error) ?? "unknown error"})`;
    throw new UnsupportedError(message, {
      cause: error,
      hint: "mount /proc: without it no directory can be kept hold of while files are copied",
    });
  }
}
