/** Staging and run directories of one home that two PID namespaces share. @module */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { findProgram } from "../../../../src/platform/find_program.ts";
import { isElsewhere, isSameProcess, ownProcess } from "../../../../src/platform/process_identity.ts";
import { isHeld, stagingOwner, sweepStaging } from "../../../../src/platform/staging.ts";
import { sweepRunDirectories } from "../../../../src/vmm/run_directory/create_and_sweep.ts";
import { readIdentity } from "../../../../src/vmm/run_directory/run_directory.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

const RUN = "Deno" in globalThis ? ["run", "--allow-all", "--quiet"] : [];
const STAGING_PROGRAM = fileURLToPath(new URL("../../../support/host/staging_program.ts", import.meta.url));
const DAY_MS = 24 * 60 * 60 * 1000;

test(
  "sweepStaging() and sweepRunDirectories() leave for a day what a process of another PID namespace holds",
  async () => {
    using home = new StateHome();
    const inside = ["--pid", "--fork", "--mount-proc", process.execPath, ...RUN, STAGING_PROGRAM];
    const child = spawn("unshare", inside, { stdio: ["pipe", "pipe", "inherit"] });
    const exited = once(child, "exit");
    const [line] = await once(createInterface(child.stdout), "line");
    const [staged, runDirectory]: string[] = JSON.parse(line);
    assert.ok(staged !== undefined && runDirectory !== undefined);

    const holder = readIdentity(join(runDirectory, "keeper.json"));
    assert.ok(holder !== undefined && isElsewhere(holder) && !isSameProcess(holder));
    assert.deepEqual(stagingOwner(basename(staged)), holder);
    sweepStaging(home.path);
    sweepRunDirectories(home.path, () => new Set());
    assert.deepEqual([existsSync(staged), existsSync(runDirectory)], [true, true]);
    assert.equal(isHeld(staged, holder, Date.now() + DAY_MS), false);

    child.stdin.end();
    await exited;
    sweepStaging(home.path); // whether it is alive cannot be told from here
    assert.equal(existsSync(staged), true);
  },
  {
    skip: process.getuid?.() === 0 ? undefined : "only root can make a PID namespace",
    missing: findProgram("unshare") === undefined ? "unshare is not installed" : undefined,
  },
);

test("isElsewhere() is about this boot of the machine, and another PID namespace than this one", () => {
  const own = ownProcess();
  const [ticks, boot, namespace] = own.startTime.split(".");
  const of = (startTime: string) => isElsewhere({ pid: 1, startTime });
  assert.deepEqual(
    [own.startTime, `${ticks}.${boot}`, `${ticks}.${boot}.1`, `${ticks}.00000000.1`, "1.gone", ""].map(of),
    [false, false, true, false, false, false],
  );
  assert.ok(
    isSameProcess({ pid: own.pid, startTime: `${ticks}.${boot}` }),
    "as an earlier release has noted it",
  );
  assert.ok(!isSameProcess({ pid: own.pid, startTime: `${ticks}.${boot}.1` }));
  assert.ok(namespace !== undefined);
});
