/** Removals of processes that are killed on the way, really and in the worst moment. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LocalSandbox } from "../../../../src/backend/local/local_sandbox.ts";
import { reconcile, sweepLeftovers } from "../../../../src/backend/local/reconcile.ts";
import { sandboxDirectory } from "../../../../src/backend/local/sandbox_directories.ts";
import { ownProcess } from "../../../../src/platform/process_identity.ts";
import { test } from "../../../support/harness.ts";
import { StateHome } from "../../../support/home/state_home.ts";

const CORE = new URL("../../../../src/backend/local/local_sandbox.ts", import.meta.url).href;
const PROJECT = fileURLToPath(new URL("../../../..", import.meta.url));
/** The directory is moved, the row is deleted, and the transaction is not over. */
const PROGRAM = `
  const { LocalSandbox } = await import(${JSON.stringify(CORE)});
  const { core } = await LocalSandbox.get("x");
  core.state.eventLog.append = () => process.kill(process.pid, "SIGKILL");
  await core.remove();`;

/** A stopped sandbox that a process was about to remove. */
function beginRemoval(home: StateHome): string {
  const key = home.create("x", { host: { pid: 1, startTime: "1.gone" } });
  mkdirSync(join(sandboxDirectory(home.path, "x"), "logs"), { recursive: true });
  home.state.transition(key, "ready");
  home.state.transition(key, "stopped");
  const evaluate = "Bun" in globalThis ? ["-e", PROGRAM] : ["eval", "--no-check", PROGRAM];
  const { signal, stderr } = spawnSync(process.execPath, evaluate, { cwd: PROJECT, encoding: "utf8" });
  assert.equal(signal, "SIGKILL", stderr);
  assert.equal(existsSync(sandboxDirectory(home.path, "x")), false);
  return key.id;
}

function assertRemovedOnce(home: StateHome, id: string): void {
  assert.equal(home.state.findById(id), undefined);
  assert.deepEqual(readdirSync(join(home.path, "trash")), []);
  const { events } = home.state.eventLog.read({ after: 0, limit: 100, sandboxId: id });
  assert.equal(events.filter(({ action }) => action === "removed").length, 1);
}

test("reconcile() goes on with a removal whose process was killed in the middle of it", async () => {
  using home = new StateHome();
  const id = beginRemoval(home);
  const record = home.state.findById(id);
  assert.ok(record !== undefined, "a row without a directory");
  assert.equal(await reconcile(home.state, record), undefined);
  assertRemovedOnce(home, id);
  await assert.rejects(LocalSandbox.get("x"), { code: "sandboxNotFound" });
});

test("sweepLeftovers() goes on with such a removal, and with one that lacks the last step only", () => {
  using home = new StateHome();
  const id = beginRemoval(home);
  mkdirSync(join(home.path, "trash", "removed-of-no-sandbox", "logs"), { recursive: true });
  sweepLeftovers(home.state);
  assertRemovedOnce(home, id);
});

test("reconcile() removes what was ephemeral if whoever noted its end was killed before it could", async () => {
  using home = new StateHome();
  for (const [end, host] of [
    ["stopped", { pid: 1, startTime: "1.gone" }],
    ["crashed", { pid: 1, startTime: "1.gone" }],
    ["stopped", ownProcess()],
  ] as const) {
    const key = home.create("x", { host, config: { ephemeral: true } });
    mkdirSync(join(sandboxDirectory(home.path, "x"), "logs"), { recursive: true });
    home.state.transition(key, end);
    const found = await reconcile(home.state, home.state.get("x"));
    if (host.pid !== 1) assert.equal(found?.status, end, "its VM host process is about to");
    else assertRemovedOnce(home, key.id);
    assert.equal(existsSync(sandboxDirectory(home.path, "x")), found !== undefined);
  }
});
