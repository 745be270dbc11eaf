/** Where a home keeps what other programs may read. @module */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { homePaths } from "../../../src/platform/home.ts";
import { test } from "../../support/harness.ts";
import { ROOT, readModule } from "../source_files.ts";

test("homePaths() keeps sandboxes, kernels and boot disks where 0.8 kept them", () => {
  const { sandboxes, kernels, bootDisks } = homePaths("/home");
  assert.deepEqual(
    [sandboxes, kernels, bootDisks],
    ["/home/sandboxes", "/home/cache/kernels", "/home/cache/boot"],
  );
});

test("COMPATIBILITY.md names a test for every promise, and each exists", () => {
  const rows = readModule("COMPATIBILITY.md")
    .split("\n")
    .filter((line) => line.startsWith("| ") && !line.startsWith("| ---") && line.split("|").length === 6)
    .slice(1); // its heading
  assert.ok(rows.length >= 12, `${rows.length} rows`);
  for (const row of rows) {
    const named = [...(row.split("|").at(-2) ?? "").matchAll(/`(?<path>tests\/[^`]+)`/g)];
    if (row.startsWith("| Runtimes")) continue; // the package managers keep that one
    assert.ok(named.length > 0, row);
    for (const { groups } of named) assert.ok(existsSync(join(ROOT, groups?.["path"] ?? "")), row);
  }
});
