/** A directory of this machine that is watched, shared by two guests: what each sees of the other, and of this machine. @module */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { FsWatch, Sandbox } from "../../mod.ts";
import { findProgram } from "../../src/platform/find_program.ts";
import { temporaryDirectory } from "../support/harness.ts";
import { homeTest } from "../support/vm/vm.ts";
import { within } from "../support/within.ts";

const SOURCE = fileURLToPath(new URL("../support/guest/lock_file.c", import.meta.url));
const COMPILER = findProgram("musl-gcc") ?? findProgram("cc");
const WAIT_MS = 30_000;

/** What a script writes; it must succeed. */
async function output(sandbox: Sandbox, script: string): Promise<string> {
  const result = await sandbox.shell(script);
  assert.equal(result.code, 0, `${script}:\n${result.stdout()}${result.stderr()}`);
  return result.stdout();
}

/** Reads changes until that one comes. */
async function until(changes: FsWatch, kind: string, path: string): Promise<void> {
  const seen: string[] = [];
  for (;;) {
    const change = await within(WAIT_MS, `${kind} ${path} after ${seen.join(", ")}`, () => changes.recv());
    assert.ok(change !== null);
    if (change.kind === kind && change.path === path) return;
    seen.push(`${change.kind} ${change.path}`);
  }
}

homeTest(
  "mounts: with watch a guest is told of what this machine, or another guest, changes",
  async ({ create }) => {
    using host = temporaryDirectory();
    const here = (name: string) => join(host.path, name);
    mkdirSync(here("sub"));
    writeFileSync(here("a"), "before");
    const bind = { bind: host.path, watch: true };
    const [one, two] = await Promise.all([
      create({ name: "one", mounts: { "/app": bind } }),
      create({ name: "two", mounts: { "/app": { ...bind, readonly: true } } }),
    ]);
    await using changes = one.fs().watch("/app", { recursive: true });
    await using others = two.fs().watch("/app", { recursive: true });
    await Promise.all([changes.ready, others.ready]);
    assert.equal(await output(one, "cat /app/a"), "before");
    writeFileSync(here("a"), "after the change");
    for (const watch of [changes, others]) await until(watch, "modified", "/app/a");
    assert.equal(await output(one, "cat /app/a"), "after the change");
    assert.equal(await output(two, "cat /app/a"), "after the change");
    mkdirSync(here("sub/new"));
    await until(changes, "created", "/app/sub/new");
    writeFileSync(here("sub/b"), "b");
    renameSync(here("sub/b"), here("c"));
    rmSync(here("sub/new"), { recursive: true });
    await until(changes, "removed", "/app/sub/new");
    assert.equal(await output(one, "cd /app && ls . sub"), ".:\na\nc\nsub\n\nsub:\n");
    // What one guest does the other is told of, and this machine has it as it was done.
    await output(one, "echo guest > /app/d && mv /app/d /app/e && rm /app/c");
    await until(others, "removed", "/app/c");
    assert.equal(await output(two, "cd /app && ls; cat e"), "a\ne\nsub\nguest\n");
    assert.equal(readFileSync(here("e"), "utf8"), "guest\n");
    // A lock of one guest holds against the other, and is free once its holder is gone.
    if (COMPILER !== undefined) {
      // Here it is a program from the beginning: one that becomes it later is busy while the guest is told that it was written.
      using built = temporaryDirectory();
      execFileSync(COMPILER, ["-static", "-O1", "-o", join(built.path, "lock"), SOURCE]);
      copyFileSync(join(built.path, "lock"), here("lock"));
      await using holder = await one.execStream("/app/lock", ["/app/a", "now"]);
      await holder.stdout.getReader().read();
      await using writable = await create({ name: "three", mounts: { "/app": host.path } });
      assert.equal((await writable.exec("/app/lock", ["/app/a", "now"])).code, 1);
      assert.notEqual((await writable.shell("timeout 1 /app/lock /app/a wait")).code, 0);
      const waiting = writable.exec("/app/lock", ["/app/a", "wait"]);
      await holder.kill();
      await holder.wait();
      assert.equal((await waiting).stdout(), "locked\n");
    }
    await others[Symbol.asyncDispose]();
    await changes[Symbol.asyncDispose]();
    await one.stop();
    await two.stop();
    assert.equal(readFileSync(here("e"), "utf8"), "guest\n");
  },
);
