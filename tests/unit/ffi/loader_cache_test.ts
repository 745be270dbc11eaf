import assert from "node:assert/strict";
import { parseLoaderCache, readLoaderCache } from "../../../src/ffi/loader_cache.ts";
import { test } from "../../support/harness.ts";

/** A cache file as ldconfig writes it, optionally behind one in the old format. */
function buildCache(entries: readonly (readonly [string, string])[], { oldEntries = -1 } = {}): Uint8Array {
  const strings = entries.flat().map((text) => Buffer.from(`${text}\0`));
  const header = Buffer.alloc(48 + entries.length * 24);
  header.write("glibc-ld.so.cache1.1");
  header.writeUInt32LE(entries.length, 20);
  let offset = header.length;
  strings.forEach((bytes, index) => {
    header.writeUInt32LE(offset, 48 + (index >> 1) * 24 + 4 + (index & 1) * 4);
    offset += bytes.length;
  });
  const cache = Buffer.concat([header, ...strings]);
  if (oldEntries < 0) return cache;
  const old = Buffer.alloc(Math.ceil((16 + oldEntries * 12) / 8) * 8);
  old.write("ld.so-1.7.0");
  old.writeUInt32LE(oldEntries, 12);
  return Buffer.concat([old, cache]);
}

const ENTRIES = [
  ["libkrun.so.1", "/opt/lib/libkrun.so.1"],
  ["libz.so.1", "/lib/libz.so.1"],
] as const;
const PARSED = ENTRIES.map(([name, path]) => ({ name, path }));

test("parseLoaderCache() reads names and paths", () => {
  assert.deepEqual(parseLoaderCache(buildCache(ENTRIES)), PARSED);
  assert.deepEqual(parseLoaderCache(buildCache([])), []);
});

test("parseLoaderCache() skips a cache in the old format", () => {
  for (const oldEntries of [0, 1, 2, 3]) {
    assert.deepEqual(parseLoaderCache(buildCache(ENTRIES, { oldEntries })), PARSED);
  }
});

test("parseLoaderCache() gives nothing for bytes cut anywhere before the strings, and never throws", () => {
  const cache = buildCache(ENTRIES, { oldEntries: 1 });
  const stringsAt = cache.length - ENTRIES.flat().join("\0").length - 1;
  for (let length = 0; length < stringsAt; length++) {
    assert.deepEqual(parseLoaderCache(cache.subarray(0, length)), [], `cut at ${length}`);
  }
});

test("readLoaderCache() finds this system's C library, or no cache", () => {
  const entries = readLoaderCache();
  if (entries.length > 0)
    assert.ok(entries.some(({ name, path }) => name === "libc.so.6" && path.endsWith(name)));
  assert.deepEqual(readLoaderCache("/nonexistent/ld.so.cache"), []);
});
