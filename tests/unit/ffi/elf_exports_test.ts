import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { namesFunction } from "../../../src/ffi/elf_exports.ts";
import { findLibkrun } from "../../../src/ffi/library_search.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { elfLibrary } from "./elf_library.ts";
import { libkrunMissing } from "./real_library.ts";

/** What namesFunction() says of a file with these bytes. */
function ask(bytes: Uint8Array, name: string): boolean | undefined {
  using directory = temporaryDirectory();
  const path = join(directory.path, "library.so");
  writeFileSync(path, bytes);
  return namesFunction(path, name);
}

test("namesFunction() knows whole names only", () => {
  const library = elfLibrary(["krun_create_ctx", "krun_free_ctx"]);
  assert.equal(ask(library, "krun_create_ctx"), true);
  assert.equal(ask(library, "krun_free_ctx"), true);
  for (const name of ["krun_create", "create_ctx", "krun_create_ctx2"])
    assert.equal(ask(library, name), false);
});

test("namesFunction() cannot tell of a file that is no library, or is cut short anywhere", () => {
  assert.equal(ask(Buffer.from("#!/bin/sh\n"), "x"), undefined);
  const library = elfLibrary(["krun_create_ctx"]);
  for (let length = 0; length < library.length; length++)
    assert.equal(ask(library.subarray(0, length), "krun_create_ctx"), undefined, `${length}`);
});

test("namesFunction() believes no number of a damaged file", () => {
  const library = elfLibrary(["krun_create_ctx"]);
  for (let offset = 0; offset < library.length; offset++) {
    const damaged = Buffer.from(library);
    damaged[offset] = 0xff;
    assert.ok([true, false, undefined].includes(ask(damaged, "krun_create_ctx")));
  }
});

test("namesFunction() throws for a file that it cannot read", () => {
  assert.throws(() => namesFunction("/nonexistent", "x"), { code: "io", errno: "ENOENT" });
});

test(
  "namesFunction() sees what the real libkrun has",
  () => {
    const { path } = findLibkrun();
    assert.equal(namesFunction(path, "krun_create_ctx"), true);
    assert.equal(namesFunction(path, "krun_no_such_function"), false);
  },
  { skip: libkrunMissing },
);
