/**
 * Reads the dynamic loader's cache, which maps library names to files.
 *
 * Source: glibc, `elf/dl-cache.h` (struct cache_file_new, "glibc-ld.so.cache1.1"), as in `/etc/ld.so.cache`.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { decodeUtf8 } from "../base/bytes.ts";
import { IoError } from "../base/errors.ts";
import { isAbsence } from "../platform/if_present.ts";

export const LOADER_CACHE_PATH = "/etc/ld.so.cache";

const MAGIC = "glibc-ld.so.cache1.1";
/** A cache in the old format may come first. Offsets count from the start of the new one. */
const OLD_MAGIC = "ld.so-1.7.0";
const HEADER_BYTES = 48;
const ENTRY_BYTES = 24;
const ENTRIES_MAX = 1_000_000;

/** One library of the cache. */
export interface LoaderCacheEntry {
  name: string;
  path: string;
}

/** The files that the cache at `path` names for a library; none without a cache of this format, as on musl. */
export function findInLoaderCache(name: string, path: string = LOADER_CACHE_PATH): string[] {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch (error) {
    if (isAbsence(error)) return []; // the standard directories are searched all the same
    throw new IoError(`read ${path}`, path, error);
  }
  // Most caches do not name it, and decoding one takes longer than the rest of a search.
  if (!bytes.includes(`${name}\0`)) return [];
  return parseLoaderCache(bytes)
    .filter((entry) => entry.name === name)
    .map((entry) => entry.path);
}

/** The entries of a cache file's bytes; none if its format is unknown. */
export function parseLoaderCache(bytes: Uint8Array): LoaderCacheEntry[] {
  const start = findCache(bytes);
  if (start === undefined) return [];
  const cache = bytes.subarray(start);
  const view = new DataView(cache.buffer, cache.byteOffset, cache.byteLength);
  if (cache.length < HEADER_BYTES) return [];
  const count = view.getUint32(MAGIC.length, true);
  if (count > ENTRIES_MAX || HEADER_BYTES + count * ENTRY_BYTES > cache.length) return [];
  return Array.from({ length: count }, (_, index) => {
    const offset = HEADER_BYTES + index * ENTRY_BYTES;
    return {
      name: textAt(cache, view.getUint32(offset + 4, true)),
      path: textAt(cache, view.getUint32(offset + 8, true)),
    };
  });
}

function findCache(bytes: Uint8Array): number | undefined {
  const isAt = (text: string, offset: number) =>
    decodeUtf8(bytes.subarray(offset, offset + text.length)) === text;
  if (isAt(MAGIC, 0)) return 0;
  if (!isAt(OLD_MAGIC, 0)) return undefined;
  const oldCount = new DataView(bytes.buffer, bytes.byteOffset).getUint32(12, true);
  const start = Math.ceil((16 + oldCount * 12) / 8) * 8;
  return isAt(MAGIC, start) ? start : undefined;
}

function textAt(cache: Uint8Array, offset: number): string {
  const end = cache.indexOf(0, offset);
  return end === -1 ? "" : decodeUtf8(cache.subarray(offset, end));
}
