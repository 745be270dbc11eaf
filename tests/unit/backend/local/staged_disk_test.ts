/** Where the disk of a new sandbox goes, and what becomes of one that lies there. @module */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  LOST_KEPT_MAX,
  sandboxDirectory,
  UPPER_NAME,
} from "../../../../src/backend/local/sandbox_directories.ts";
import { StagedDisk } from "../../../../src/backend/local/staged_disk.ts";
import { homePaths } from "../../../../src/platform/home.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

/** Creates a sandbox with an empty disk. */
async function createDisk(home: StateHome, name: string): Promise<string> {
  const key = home.create(name);
  await using disk = new StagedDisk(home.state, (path) => writeFile(path, "new"));
  await disk.place(key, name);
  return key.id;
}

/** A directory that no row leads to, as after the loss of the state database. */
function leaveDisk(home: StateHome, name: string, content: string): void {
  mkdirSync(sandboxDirectory(home.path, name), { recursive: true });
  writeFileSync(join(sandboxDirectory(home.path, name), UPPER_NAME), content);
}

test("StagedDisk.place() keeps a disk that the state database does not know, and tells where", async () => {
  using home = new StateHome();
  leaveDisk(home, "x", "precious");
  const warned = Promise.withResolvers<Error>();
  process.once("warning", warned.resolve);
  const id = await createDisk(home, "x");
  assert.equal(readFileSync(join(sandboxDirectory(home.path, "x"), UPPER_NAME), "utf8"), "new");
  const directory = home.state.eventLog.latest(id, ["displaced"])?.attributes["directory"];
  assert.ok(typeof directory === "string" && directory.startsWith(homePaths(home.path).lost));
  assert.equal(readFileSync(join(directory, UPPER_NAME), "utf8"), "precious");
  assert.match((await warned.promise).message, /unknown sandbox called "x" .* moved to /);
});

test("StagedDisk.place() keeps the newest of many lost disks", async () => {
  using home = new StateHome();
  for (let count = 0; count < LOST_KEPT_MAX + 2; count++) {
    const name = `x${count}`;
    leaveDisk(home, name, String(count));
    await createDisk(home, name);
  }
  const { lost } = homePaths(home.path);
  const kept = readdirSync(lost).map((name) => Number(readFileSync(join(lost, name, UPPER_NAME), "utf8")));
  assert.equal(kept.length, LOST_KEPT_MAX);
  assert.ok(kept.includes(LOST_KEPT_MAX + 1), "the newest is kept");
});

test("StagedDisk.place() replaces a directory without a disk, and tells of nothing", async () => {
  using home = new StateHome();
  mkdirSync(join(sandboxDirectory(home.path, "x"), "logs"), { recursive: true });
  const id = await createDisk(home, "x");
  assert.deepEqual(readdirSync(sandboxDirectory(home.path, "x")), [UPPER_NAME]);
  assert.equal(home.state.eventLog.latest(id, ["displaced"]), undefined);
});
