import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findInLoaderCache, LOADER_CACHE_PATH, parseLoaderCache } from "../../../src/ffi/loader_cache.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

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

test("findInLoaderCache() finds the files of a library, and nothing where there is no cache", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "ld.so.cache");
  const twice = ["libkrun.so.1", "/usr/lib/libkrun.so.1"] as const;
  writeFileSync(path, buildCache([...ENTRIES, twice], { oldEntries: 2 }));
  assert.deepEqual(findInLoaderCache("libkrun.so.1", path), [
    "/opt/lib/libkrun.so.1",
    "/usr/lib/libkrun.so.1",
  ]);
  assert.deepEqual(findInLoaderCache("libkrun.so", path), []);
  assert.deepEqual(findInLoaderCache("libkrun.so.1", join(directory.path, "absent")), []);
});

test("findInLoaderCache() reads this system's cache, if it has one", () => {
  if (!existsSync(LOADER_CACHE_PATH)) return; // musl
  const files = findInLoaderCache("libc.so.6");
  assert.ok(files.length > 0 && files.every((path) => path.endsWith("/libc.so.6")), String(files));
});
