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

test("findProgram() passes over a program that another user could have put there, and tells if it is the only one", () => {
  using directory = temporaryDirectory();
  const at = (name: string) => join(directory.path, name);
  for (const name of ["open", "ours"]) {
    mkdirSync(at(name));
    writeFileSync(join(at(name), "tool"), "", { mode: 0o755 });
  }
  chmodSync(at("open"), 0o777);
  const find = (...names: string[]) => withPath(names.map(at).join(":"), () => findProgram("tool"));
  assert.equal(find("open", "ours"), join(at("ours"), "tool"));
  assert.throws(() => find("open"), { code: "untrustedPath", message: /open/ });
  assert.equal(find("none"), undefined);
});
