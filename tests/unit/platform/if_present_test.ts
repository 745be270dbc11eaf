/** What need not be there, and what must not be taken for that. @module */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../../../src/base/errors.ts";
import {
  ifPresent,
  namesIfPresent,
  renameIfPresent,
  textIfPresent,
} from "../../../src/platform/if_present.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

test("textIfPresent() and namesIfPresent() tell what is absent from what cannot be read", () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  mkdirSync(at("directory"));
  writeFileSync(at("file"), "text");
  writeFileSync(at("directory/name"), "");
  symlinkSync("loop", at("loop"));
  assert.equal(textIfPresent(at("file")), "text");
  assert.deepEqual(namesIfPresent(at("directory")), ["name"]);
  for (const absent of ["none", "none/below", "file/below"])
    assert.equal(textIfPresent(at(absent)), undefined, absent);
  for (const absent of ["none", "none/below"]) assert.deepEqual(namesIfPresent(at(absent)), [], absent);
  for (const wrong of ["loop", "directory"]) assert.throws(() => textIfPresent(at(wrong)), IoError);
  for (const wrong of ["loop", "file", "file/below"]) assert.throws(() => namesIfPresent(at(wrong)), IoError);
});

test("ifPresent() passes every other failure on", () => {
  const failure = new Error("not of a file");
  const fail = () => {
    throw failure;
  };
  assert.throws(() => ifPresent(fail), failure);
});

test("renameIfPresent() says whether there was something, and fails if it cannot be moved", () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  writeFileSync(at("file"), "");
  writeFileSync(at("other"), "");
  assert.equal(renameIfPresent(at("none"), at("moved")), false);
  assert.throws(() => renameIfPresent(at("file"), at("other/below")), { code: "ENOTDIR" });
  assert.equal(renameIfPresent(at("file"), at("moved")), true);
  assert.equal(renameIfPresent(at("file"), at("moved")), false);
});
