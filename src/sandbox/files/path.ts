/**
 * Paths in a sandbox: text, or the bytes of one that is not UTF-8.
 *
 * @module
 */
import { ProtocolError } from "../../agent/errors.ts";
import { FILE_PATH_BYTES_MAX } from "../../agent/file_messages.ts";
import { type Bytes, decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { InvalidConfigError } from "../../base/errors.ts";

/**
 * A path in the sandbox: text, or bytes, since names on Linux need not be UTF-8. A relative one begins at the sandbox's
 * working directory.
 */
export type FsPath = string | Uint8Array;

const SLASH = 0x2f;
const DOT = 0x2e;
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The bytes of a path. @throws {InvalidConfigError} if no guest could have a file of that name. */
export function encodePath(path: FsPath, field = "path"): Bytes {
  const problem = problemOf(path);
  if (problem !== undefined) throw new InvalidConfigError([{ field, problem }]);
  return typeof path === "string" ? encodeUtf8(path) : path.slice();
}

/** The bytes of a part of a name, which may be empty. @throws {InvalidConfigError} */
export function encodeNamePart(part: FsPath, field: string): Bytes {
  const bytes = part.length === 0 ? new Uint8Array(0) : encodePath(part, field);
  if (bytes.includes(SLASH)) throw new InvalidConfigError([{ field, problem: "must not contain a slash" }]);
  return bytes;
}

function problemOf(path: unknown): string | undefined {
  if (typeof path !== "string" && !(path instanceof Uint8Array))
    return `must be a string or a Uint8Array: current value is ${path === null ? "null" : typeof path}`;
  if (path.length === 0) return "must not be empty";
  if (typeof path === "string" ? path.includes("\0") : path.includes(0)) return "must not contain a NUL byte";
  // Encoded as UTF-8 it would be another name.
  if (typeof path === "string" && !path.isWellFormed()) return "must not contain half of a surrogate pair";
  const size = typeof path === "string" ? encodedBytes(path) : path.length;
  if (size > FILE_PATH_BYTES_MAX) return `must have at most ${FILE_PATH_BYTES_MAX} bytes: it has ${size}`;
  return undefined;
}

function encodedBytes(text: string): number {
  return text.length * 3 <= FILE_PATH_BYTES_MAX ? text.length : encodeUtf8(text).length;
}

/** A path as text for people, and for programs if it is UTF-8: what is not becomes U+FFFD. */
export function pathText(path: FsPath): string {
  return typeof path === "string" ? path : decodeUtf8(path);
}

/** A path as text; `undefined` if it is not UTF-8. */
export function exactPathText(path: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(path);
  } catch {
    return undefined;
  }
}

/** What keeps bytes from being the name of something in a directory, as "a name that …" goes on; `undefined` if nothing does. */
export function nameProblem(name: Uint8Array): string | undefined {
  if (name.length === 0) return "is empty";
  if (name.includes(0)) return "has a NUL";
  const isDots = name.length <= 2 && name.every((byte) => byte === DOT);
  return isDots ? `is "${".".repeat(name.length)}"` : undefined;
}

/**
 * Checks what a guest calls a path below another one: a hostile one says `..`, and a caller that joins it to a directory of
 * this machine would leave that. The empty path stands for the other one itself.
 *
 * @param depthMax How far below it may be.
 * @throws {ProtocolError}
 */
export function checkPathBelow(path: Uint8Array, depthMax: number = Number.POSITIVE_INFINITY): void {
  let depth = 0;
  for (let start = 0; path.length > 0 && start <= path.length; ) {
    const slash = path.indexOf(SLASH, start);
    const end = slash === -1 ? path.length : slash;
    const problem = ++depth > depthMax ? "has a slash" : nameProblem(path.subarray(start, end));
    if (problem !== undefined)
      throw new ProtocolError(`The guest sent the path of a file with a name that ${problem}`);
    start = end + 1;
  }
}

/** The path of what lies at `below` in `directory`; `directory` itself if `below` is empty. */
export function joinPath(directory: Uint8Array, below: Uint8Array): Bytes {
  if (below.length === 0) return directory.slice();
  const isSeparated = directory.at(-1) === SLASH;
  const joined = new Uint8Array(directory.length + (isSeparated ? 0 : 1) + below.length);
  joined.set(directory);
  if (!isSeparated) joined[directory.length] = SLASH;
  joined.set(below, joined.length - below.length);
  return joined;
}

/** The last part of a path. */
export function baseName(path: Uint8Array): Uint8Array {
  let end = path.length;
  while (end > 1 && path[end - 1] === SLASH) end--;
  return path.subarray(path.lastIndexOf(SLASH, end - 2) + 1, end);
}

/** Compares names as the guest's kernel has them, byte by byte. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const size = Math.min(left.length, right.length);
  for (let index = 0; index < size; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}
