/**
 * What a VM test does on a machine that has not all for it: shown by a file of such tests, run as any other.
 *
 * @module
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryDirectory, test } from "../../support/harness.ts";

const HARNESS = new URL("../../support/harness.ts", import.meta.url).href;
const PROJECT = fileURLToPath(new URL("../../..", import.meta.url));
const RUNNER = "Bun" in globalThis ? ["test"] : ["test", "--allow-all", "--no-check"];

/** Runs one VM test, which would pass, with these options. */
function runVmTest(options: object, environment: Readonly<Record<string, string>>) {
  using directory = temporaryDirectory();
  const file = join(directory.path, "some_test.ts");
  const lines = [
    `import { vmTest } from ${JSON.stringify(HARNESS)};`,
    `vmTest("some test", () => {}, ${JSON.stringify(options)});`,
  ];
  writeFileSync(file, lines.join("\n"));
  const { MSB_REQUIRE_VM: _, ...env } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [...RUNNER, file], {
    cwd: PROJECT,
    env: { ...env, NO_COLOR: "1", MSB_ONLY_IGNORED: "1", ...environment },
    encoding: "utf8",
  });
  return { status, output: `${stdout}${stderr}` };
}

test("vmTest() skips a test that lacks something and says what, or fails where VMs are required", () => {
  const missing = "not installed: sail (rigging)";
  const skipped = runVmTest({ missing }, {});
  assert.equal(skipped.status, 0, skipped.output);
  assert.ok(skipped.output.includes(`some test [skipped: ${missing}]`), skipped.output);

  const failed = runVmTest({ missing }, { MSB_REQUIRE_VM: "1" });
  assert.equal(failed.status, 1, failed.output);
  assert.ok(failed.output.includes(`MSB_REQUIRE_VM=1, but: ${missing}`), failed.output);
});

test("vmTest() skips a test that is not for this user even where VMs are required", () => {
  const { status, output } = runVmTest({ skip: "root may do all" }, { MSB_REQUIRE_VM: "1" });
  assert.equal(status, 0, output);
  assert.ok(output.includes("some test [skipped: root may do all]"), output);
});

test("vmTest() fails where VMs are required and no engine works", () => {
  const nowhere = { MSB_LIBKRUNFW: "/nowhere", MSB_LIBKRUN: "/nowhere", MSB_ENGINE: "krun" };
  const { status, output } = runVmTest({}, { MSB_REQUIRE_VM: "1", ...nowhere });
  assert.equal(status, 1, output);
  assert.match(output, /MSB_REQUIRE_VM=1, but: .*libkrun/);
});
