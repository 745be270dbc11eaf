import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram } from "../../../src/platform/find_program.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

function withPath<T>(path: string, body: () => T): T {
  const before = process.env["PATH"];
  process.env["PATH"] = path;
  try {
    return body();
  } finally {
    process.env["PATH"] = before;
  }
}

test("findProgram() finds the first executable file of PATH", () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  for (const name of ["one", "two", "three"]) mkdirSync(at(name));
  mkdirSync(join(at("one"), "tool")); // a directory may be entered, not run
  writeFileSync(join(at("two"), "tool"), "");
  writeFileSync(join(at("three"), "tool"), "");
  chmodSync(join(at("three"), "tool"), 0o755);
  const path = ["", at("none"), at("one"), at("two"), at("three")].join(":");
  assert.equal(
    withPath(path, () => findProgram("tool")),
    join(at("three"), "tool"),
  );
  assert.equal(
    withPath(path, () => findProgram("absent")),
    undefined,
  );
  assert.equal(
    withPath(path, () => findProgram("")),
    undefined,
  );
});

test("findProgram() does not look in the working directory for an empty entry of PATH", () => {
  assert.equal(
    withPath("", () => findProgram("package.json")),
    undefined,
  );
  assert.equal(
    withPath(":", () => findProgram("scripts/test")),
    undefined,
  );
});
