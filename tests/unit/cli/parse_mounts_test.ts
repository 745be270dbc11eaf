/** Flags that mount something. @module */
import assert from "node:assert/strict";
import { parseTmpfs, parseVolume } from "../../../src/cli/parse_mounts.ts";
import { test } from "../../support/harness.ts";

function refuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts)
    assert.throws(
      () => parse(text),
      { name: "InvalidArgumentError", code: "commander.invalidArgument" },
      text,
    );
}

test("parseVolume() takes a path, a target, and how it may be used", () => {
  assert.deepEqual(parseVolume("./project:/app"), ["/app", { bind: "./project", readonly: false }]);
  assert.deepEqual(parseVolume("/docs:/docs:ro"), ["/docs", { bind: "/docs", readonly: true }]);
  assert.deepEqual(parseVolume(".:/x:rw"), ["/x", { bind: ".", readonly: false }]);
  assert.deepEqual(parseVolume("..:/x"), ["/x", { bind: "..", readonly: false }]);
  refuses(parseVolume, [
    "",
    "./a",
    ":/a",
    "./a:",
    "./a:b",
    "./a:/b:x",
    "./a:/b:ro:rw",
    "./a:/b:",
    "name:/data",
  ]);
});

test("parseVolume() says how to name a directory that is here", () => {
  assert.throws(() => parseVolume("cache:/data"), /\.\/cache/);
});

test("parseTmpfs() takes a target, and its size", () => {
  assert.deepEqual(parseTmpfs("/scratch"), ["/scratch", { tmpfs: true, sizeMiB: undefined }]);
  assert.deepEqual(parseTmpfs("/scratch:1G"), ["/scratch", { tmpfs: true, sizeMiB: 1024 }]);
  refuses(parseTmpfs, ["", "scratch", "/a:", "/a:x", "/a:-1M", "/a:1M:ro"]);
});
