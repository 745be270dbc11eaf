/** One version in every place that names it, and a changelog that knows it. @module */
import assert from "node:assert/strict";
import { readVersions } from "../../scripts/version.ts";
import { VERSION, versionLine } from "../../src/cli/version.ts";
import { test } from "../support/harness.ts";
import { ROOT, readModule } from "./source_files.ts";

const { version } = JSON.parse(readModule("package.json")) as { version: string };

test("package.json, deno.json and src/cli/version.ts name the same version", () => {
  assert.deepEqual(readVersions(ROOT), {
    "package.json": version,
    "deno.json": version,
    "src/cli/version.ts": version,
  });
  assert.equal(VERSION, version);
  assert.match(versionLine(), new RegExp(`^msb ${version.replaceAll(".", "\\.")} \\(`));
});

test("CHANGELOG.md begins with the version, or with what comes after it", () => {
  const headings = [...readModule("CHANGELOG.md").matchAll(/^## \[(?<name>[^\]]+)\]/gm)].map(
    ({ groups }) => groups?.["name"] ?? "",
  );
  assert.ok(["Unreleased", version].includes(headings[0] ?? ""), `the first section is "${headings[0]}"`);
  assert.ok(headings.includes(version), `no section for ${version}: ${headings.join(", ")}`);
});

test("deno.json imports the packages of package.json, at the same versions", () => {
  const { dependencies } = JSON.parse(readModule("package.json")) as { dependencies: Record<string, string> };
  const { imports } = JSON.parse(readModule("deno.json")) as { imports: Record<string, string> };
  const expected = Object.entries(dependencies).map(([name, range]) => [name, `npm:${name}@${range}`]);
  assert.deepEqual(imports, Object.fromEntries(expected));
});
