import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { homePaths } from "../../../src/platform/home.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import {
  begunRemovals,
  removalPath,
  stagingName,
  stagingOwner,
  stagingPath,
  sweepStaging,
} from "../../../src/platform/staging.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

test("stagingPath() gives a path that nobody else has, and makes nothing there", () => {
  using home = temporaryDirectory();
  const paths = Array.from({ length: 50 }, () => stagingPath(home.path));
  assert.equal(new Set(paths).size, 50);
  for (const path of paths) assert.equal(existsSync(path), false);
  assert.equal(statSync(dirname(paths[0]!)).mode & 0o777, 0o700);
});

test("stagingName() gives no name twice in a process, its Workers included", async () => {
  const module = new URL("../../../src/platform/staging.ts", import.meta.url).href;
  const program = `
    const { stagingName } = await import(${JSON.stringify(module)});
    postMessage(Array.from({ length: 500 }, stagingName));`;
  const worker = new Worker(URL.createObjectURL(new Blob([program], { type: "text/javascript" })), {
    type: "module",
  });
  const names = await new Promise<string[]>((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
  });
  worker.terminate();
  names.push(...Array.from({ length: 500 }, stagingName));
  assert.equal(new Set(names).size, 1_000);
  for (const name of names) assert.deepEqual(stagingOwner(name), ownProcess());
});

test("sweepStaging() deletes what dead processes left, and nothing of living ones", () => {
  using home = temporaryDirectory();
  sweepStaging(home.path); // nothing there yet
  const mine = stagingPath(home.path);
  mkdirSync(join(mine, "deep"), { recursive: true });
  const { trash } = homePaths(home.path);
  const { pid, startTime } = ownProcess();
  const dead = [`${pid}-1.another-0`, "999999999-5.x-0", "nonsense", "-", `${pid}`, `x${pid}-${startTime}-0`];
  for (const name of dead) mkdirSync(join(trash, name, "deep"), { recursive: true });
  writeFileSync(join(trash, "1-file"), "");
  sweepStaging(home.path);
  assert.deepEqual(readdirSync(trash), [mine.slice(trash.length + 1)]);
  assert.ok(existsSync(join(mine, "deep")));
});

test("sweepStaging() leaves removals to those who know what else is to be removed", () => {
  using home = temporaryDirectory();
  assert.deepEqual(begunRemovals(home.path), []);
  const id = "0b4a5c9e-1f0e-4e4b-8a50-8f3d1f1b6f0a";
  mkdirSync(removalPath(home.path, id));
  mkdirSync(stagingPath(home.path));
  sweepStaging(home.path);
  assert.deepEqual(begunRemovals(home.path), [id]);
  assert.ok(existsSync(removalPath(home.path, id)));
});

test("begunRemovals() and sweepStaging() take no directory that cannot be read for an empty one", () => {
  using home = temporaryDirectory();
  writeFileSync(homePaths(home.path).trash, "");
  assert.throws(() => begunRemovals(home.path), { code: "io", errno: "ENOTDIR" });
  assert.throws(() => sweepStaging(home.path), { code: "io", errno: "ENOTDIR" });
});
