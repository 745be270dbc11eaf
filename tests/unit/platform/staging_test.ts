import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { homePaths } from "../../../src/platform/home.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { stagingPath, sweepStaging } from "../../../src/platform/staging.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

test("stagingPath() gives a path that nobody else has, and makes nothing there", () => {
  using home = temporaryDirectory();
  const paths = Array.from({ length: 50 }, () => stagingPath(home.path));
  assert.equal(new Set(paths).size, 50);
  for (const path of paths) assert.equal(existsSync(path), false);
  assert.equal(statSync(dirname(paths[0]!)).mode & 0o777, 0o700);
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
