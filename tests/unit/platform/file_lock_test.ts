/** Locks on files, between processes and within one. @module */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isFileLocked, tryLockFile } from "../../../src/platform/file_lock.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

test("isFileLocked() is true while another holder has the lock, and creates nothing", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "x.lock");
  assert.equal(isFileLocked(path), false);
  assert.equal(existsSync(path), false);
  const lock = tryLockFile(path, "exclusive");
  assert.ok(lock !== undefined);
  assert.equal(isFileLocked(path), true);
  lock[Symbol.dispose]();
  assert.equal(isFileLocked(path), false);
});

test("isFileLocked() never fails because the file comes and goes", async () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "x.lock");
  const program = join(directory.path, "flicker.mjs");
  writeFileSync(
    program,
    `import { rmSync, writeFileSync } from "node:fs";
    console.log("ready");
    for (;;) { writeFileSync(${JSON.stringify(path)}, ""); rmSync(${JSON.stringify(path)}); }`,
  );
  const { file, args } = runtimeCommand(new URL(`file://${program}`));
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
  try {
    await once(child.stdout, "data");
    for (let look = 0; look < 5_000; look++) assert.equal(isFileLocked(path), false);
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
    rmSync(path, { force: true });
  }
});
