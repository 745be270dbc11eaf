/**
 * Parses PAX extended headers: records `"LENGTH KEY=VALUE "`, whose values are bytes.
 *
 * Source: POSIX.1-2017, `pax`, "pax Extended Header". `SCHILY.xattr.` is star's and GNU tar's; its values are raw.
 *
 * @module
 */
import { KiB } from "../../base/bytes.ts";
import { byteString, bytesOf, compact } from "../tree/byte_string.ts";
import { type ByteString, NO_XATTRS } from "../tree/tree.ts";
import { isLinuxXattr } from "../tree/xattr_name.ts";
import { FieldProblem } from "./header.ts";

/** Records in their original sequence; some keys occur more than once. */
export type PaxRecords = readonly (readonly [key: ByteString, value: ByteString])[];

export const NO_RECORDS: PaxRecords = [];

const XATTR_PREFIX = "SCHILY.xattr.";
const LENGTH_DIGITS_MAX = 8;
/** Most records of one extended header: enough for an old sparse map with thousands of parts. */
export const PAX_RECORDS_MAX = 65_536;
/** Most extended attributes of one member. */
export const XATTRS_MAX = 1024;
/** Most bytes of a member's extended attributes, names and values together: as many as the disk format can hold. */
export const XATTRS_BYTES_MAX = 256 * KiB;
/** Most records that apply to all later members. */
export const GLOBAL_RECORDS_MAX = 100;
/** Most bytes of those records. */
export const GLOBAL_RECORDS_BYTES_MAX = 64 * KiB;
/** Keys that describe a single file. In a global header, a few bytes would become attributes of every file. */
const NEVER_GLOBAL: readonly ByteString[] = [XATTR_PREFIX, "GNU.sparse."];

/** @throws {FieldProblem} */
export function parsePax(payload: Uint8Array): PaxRecords {
  const text = byteString(payload);
  const records: [ByteString, ByteString][] = [];
  let at = 0;
  while (at < text.length) {
    const space = text.indexOf(" ", at);
    const digits = space === -1 || space - at > LENGTH_DIGITS_MAX ? "" : text.slice(at, space);
    const end = at + Number(digits);
    const equals = text.indexOf("=", space);
    const isWhole = /^[1-9][0-9]*$/.test(digits) && end <= text.length && text[end - 1] === "\n";
    if (!isWhole || equals === -1 || equals >= end) throw new FieldProblem("its extended header is damaged");
    if (records.length === PAX_RECORDS_MAX) {
      throw new FieldProblem(`its extended header has more than ${PAX_RECORDS_MAX} records`);
    }
    records.push([text.slice(space + 1, equals), text.slice(equals + 1, end - 1)]);
    at = end;
  }
  return records;
}

/**
 * Returns the global records after another global header. Each key is kept once, so that any number of headers leaves
 * few records, and as a copy, so that the header itself is freed.
 *
 * @throws {FieldProblem}
 */
export function mergeGlobalRecords(earlier: PaxRecords, later: PaxRecords): PaxRecords {
  const merged = new Map(earlier);
  for (const [key, value] of later) {
    const prefix = NEVER_GLOBAL.find((candidate) => key.startsWith(candidate));
    if (prefix !== undefined)
      throw new FieldProblem(`a global header has "${prefix}" records, which are a file's`);
    merged.set(compact(key), compact(value));
  }
  let sizeBytes = 0;
  for (const [key, value] of merged) sizeBytes += key.length + value.length;
  if (merged.size > GLOBAL_RECORDS_MAX || sizeBytes > GLOBAL_RECORDS_BYTES_MAX) {
    const limits = `${GLOBAL_RECORDS_MAX} records or ${GLOBAL_RECORDS_BYTES_MAX} bytes`;
    throw new FieldProblem(`the global headers have more than ${limits}`);
  }
  return [...merged];
}

/** Returns the last value of `key`. An empty value revokes earlier ones. */
export function paxValue(records: PaxRecords, key: ByteString): ByteString | undefined {
  for (let index = records.length - 1; index >= 0; index--) {
    if (records[index]![0] === key) return records[index]![1] || undefined;
  }
  return undefined;
}

/** Returns an integer. @throws {FieldProblem} */
export function paxInteger(records: PaxRecords, key: ByteString): number | undefined {
  const text = paxValue(records, key);
  if (text === undefined) return undefined;
  const value = /^-?[0-9]+$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new FieldProblem(`its ${key} is not a usable number`);
  return value;
}

/** Returns a time. Nine digits of its fraction count. @throws {FieldProblem} */
export function paxTime(
  records: PaxRecords,
  key: ByteString,
): { seconds: number; nanoseconds: number } | undefined {
  const text = paxValue(records, key);
  if (text === undefined) return undefined;
  const [, sign, whole, fraction = ""] = /^(-?)([0-9]*)(?:\.([0-9]*))?$/.exec(text) ?? [];
  const seconds = Number(whole);
  if (whole === undefined || !Number.isSafeInteger(seconds))
    throw new FieldProblem(`its ${key} is not a usable time`);
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"));
  if (sign !== "-") return { seconds, nanoseconds };
  if (nanoseconds === 0) return { seconds: 0 - seconds, nanoseconds };
  return { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds };
}

/**
 * Returns the extended attributes that Linux can hold. Others, such as those of macOS, mean nothing in a guest.
 *
 * @throws {FieldProblem} There are too many.
 */
export function paxXattrs(records: PaxRecords): ReadonlyMap<ByteString, Uint8Array> {
  let xattrs: Map<ByteString, Uint8Array> | undefined;
  let sizeBytes = 0;
  for (const [key, value] of records) {
    if (!key.startsWith(XATTR_PREFIX)) continue;
    const name = key.slice(XATTR_PREFIX.length);
    if (!isLinuxXattr(name)) continue;
    xattrs ??= new Map();
    xattrs.set(compact(name), bytesOf(value));
    sizeBytes += name.length + value.length;
    if (xattrs.size > XATTRS_MAX || sizeBytes > XATTRS_BYTES_MAX) {
      throw new FieldProblem(
        `it has more than ${XATTRS_MAX} extended attributes, or more than ${XATTRS_BYTES_MAX} bytes of them`,
      );
    }
  }
  return xattrs ?? NO_XATTRS;
}
