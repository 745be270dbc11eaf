import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readVersions, writeVersion } from "../../../scripts/version.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const FILES = {
  "package.json": '{\n  "name": "x",\n  "version": "1.0.0",\n  "dependencies": { "version": "9.9.9" }\n}\n',
  "deno.json": '{\n  "name": "x",\n  "version": "0.0.1",\n  "imports": {}\n}\n',
  "src/cli/version.ts": '/** Doc. */\nexport const VERSION = "0.0.2";\n',
};

function project(files: Record<string, string>): { root: string; [Symbol.dispose](): void } {
  const directory = temporaryDirectory();
  mkdirSync(join(directory.path, "src/cli"), { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(directory.path, file), text);
  return { root: directory.path, [Symbol.dispose]: () => directory[Symbol.dispose]() };
}

test("writeVersion() changes the version in every file, and nothing else", () => {
  using made = project(FILES);
  assert.deepEqual(Object.values(readVersions(made.root)), ["1.0.0", "0.0.1", "0.0.2"]);
  writeVersion(made.root, "2.1.0-beta.1");
  assert.deepEqual(Object.values(readVersions(made.root)), Array(3).fill("2.1.0-beta.1"));
  assert.equal(
    readFileSync(join(made.root, "package.json"), "utf8"),
    FILES["package.json"].replace("1.0.0", "2.1.0-beta.1"),
  );
});

test("writeVersion() refuses a text that is not a version, and a file without a line for it", () => {
  using made = project({ ...FILES, "deno.json": "{}\n" });
  for (const wrong of ["", "1.2", "v1.2.3", "1.2.3+build", "1.2.3 "])
    assert.throws(() => writeVersion(made.root, wrong), /is not of the form/, wrong);
  assert.throws(() => writeVersion(made.root, "1.2.3"), /deno\.json has no line for it/);
  assert.equal(readVersions(made.root)["package.json"], "1.0.0");
});
