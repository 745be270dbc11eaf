import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { pack } from "../../../scripts/pack.ts";
import { modulesBelow, readModule } from "../../contract/source_files.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const PACKAGE_BYTES_MAX = 2 * 1024 * 1024;
/** Everything in the package is below one of these, or is one of these. */
const EXPECTED = /^(?:src\/.+\.ts|guest\/prebuilt\/agent-\w+|examples\/\w+\.ts|docs\/\w+\.md|[A-Z_]+\.md)$/;
const AT_THE_TOP = ["mod.ts", "cli.ts", "package.json", "deno.json", "LICENSE"];

test("pack() writes a small archive of the sources and documents, and of nothing else", () => {
  using target = temporaryDirectory();
  const path = pack(join(target.path, "new"));
  const { version } = JSON.parse(readModule("package.json")) as { version: string };
  assert.equal(basename(path), `microsandbox-${version}.tgz`);
  assert.ok(statSync(path).size < PACKAGE_BYTES_MAX, `${statSync(path).size} bytes`);

  const names = execFileSync("tar", ["-tzf", path], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((name) => name.replace(/^package\//, ""));
  assert.deepEqual(
    names.filter((name) => !EXPECTED.test(name) && !AT_THE_TOP.includes(name)),
    [],
  );
  const packed = new Set(names);
  const needed = [
    ...AT_THE_TOP,
    ...modulesBelow("src"),
    "guest/prebuilt/agent-x86_64",
    "guest/prebuilt/agent-aarch64",
    "README.md",
    "CHANGELOG.md",
  ];
  assert.deepEqual(
    needed.filter((name) => !packed.has(name)),
    [],
  );
});

test("pack() writes manifests that bring no tools for development, and the native libraries on Deno", () => {
  using target = temporaryDirectory();
  execFileSync("tar", ["-xzf", pack(target.path), "-C", target.path]);
  const read = (name: string) => JSON.parse(readFileSync(join(target.path, "package", name), "utf8"));
  const ours = JSON.parse(readModule("package.json"));
  const manifest = read("package.json");
  assert.deepEqual([manifest.devDependencies, manifest.scripts], [undefined, undefined]);
  assert.deepEqual(manifest.dependencies, ours.dependencies);
  assert.deepEqual(manifest.bin, { msb: "cli.ts" });
  const { imports, nodeModulesDir } = read("deno.json");
  assert.equal(nodeModulesDir, undefined); // a workspace with this package as a member would warn
  for (const [name, range] of Object.entries({ ...ours.dependencies, ...ours.optionalDependencies }))
    assert.equal(imports[name], `npm:${name}@${range}`);
});
