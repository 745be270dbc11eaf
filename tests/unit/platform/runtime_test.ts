import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { runtimeCommand, runtimeEnvironment } from "../../../src/platform/runtime.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

test("runtimeEnvironment() keeps secrets and the caller's options of the runtime to the caller", () => {
  const before = { ...process.env };
  Object.assign(process.env, {
    MSB_RUNTIME_TEST: "1",
    NODE_OPTIONS: "--import=/x",
    BUN_OPTIONS: "--preload=/x",
    DENO_CONFIG: "/x",
    AWS_SECRET_ACCESS_KEY: "x",
  });
  try {
    const environment = runtimeEnvironment();
    assert.equal(environment["MSB_RUNTIME_TEST"], "1");
    assert.equal(environment["PATH"], before["PATH"]);
    for (const name of ["NODE_OPTIONS", "BUN_OPTIONS", "DENO_CONFIG", "AWS_SECRET_ACCESS_KEY"])
      assert.equal(environment[name], undefined, name);
  } finally {
    for (const name of [
      "MSB_RUNTIME_TEST",
      "NODE_OPTIONS",
      "BUN_OPTIONS",
      "DENO_CONFIG",
      "AWS_SECRET_ACCESS_KEY",
    ]) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
});

test("runtimeCommand() runs a module whatever configuration lies beside and above it", () => {
  using directory = temporaryDirectory();
  const module = join(directory.path, "module.ts");
  writeFileSync(module, 'console.log("ran", process.env["FROM_FILE"] ?? "clean");');
  writeFileSync(join(directory.path, "package.json"), '{ "imports": 1 }');
  writeFileSync(join(directory.path, "deno.json"), '{ "imports": 1, "tasks": 2 }');
  writeFileSync(join(directory.path, ".env"), "FROM_FILE=planted");
  const { file, args } = runtimeCommand(pathToFileURL(module));
  const { stdout, stderr } = spawnSync(file, args, {
    cwd: directory.path,
    env: runtimeEnvironment(),
    encoding: "utf8",
  });
  assert.equal(stdout.trim(), "ran clean", stderr);
});
