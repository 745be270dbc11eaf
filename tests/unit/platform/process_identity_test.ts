import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  identifyProcess,
  isSameProcess,
  isZombie,
  killProcess,
  ownProcess,
} from "../../../src/platform/process_identity.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const options = { skip: process.platform === "linux" ? undefined : "/proc is Linux's" };

async function start(
  script: string,
): Promise<{ child: ChildProcess; firstLine: string; exited: Promise<unknown> }> {
  const child = spawn("/bin/sh", ["-c", script], { stdio: ["ignore", "pipe", "ignore"] });
  const exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve(signal ?? code)));
  const firstLine = await new Promise<string>((resolve) =>
    child.stdout!.once("data", (chunk: Uint8Array) => resolve(new TextDecoder().decode(chunk).trim())),
  );
  return { child, firstLine, exited };
}

/** Looks until it is so; the test's own time limit ends it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test(
  "identifyProcess() names a process that runs, the same each time",
  async () => {
    const { child, exited } = await start("echo up; exec sleep 600");
    const identity = identifyProcess(child.pid!);
    assert.equal(identity?.pid, child.pid);
    assert.deepEqual(identifyProcess(child.pid!), identity);
    assert.equal(isSameProcess(identity!), true);
    assert.equal(isZombie(identity!), false);
    killProcess(identity!);
    assert.equal(await exited, "SIGKILL");
    assert.equal(isSameProcess(identity!), false);
    assert.equal(identifyProcess(child.pid!), undefined);
    killProcess(identity!); // gone: nothing to do
  },
  options,
);

test(
  "identifyProcess() tells processes of the same program apart",
  async () => {
    assert.equal(ownProcess().pid, process.pid);
    assert.notEqual(ownProcess().startTime, "");
    assert.notEqual(identifyProcess(1)?.startTime, ownProcess().startTime);
  },
  options,
);

test(
  "identifyProcess() does not know pids that cannot be",
  () => {
    for (const pid of [0, -1, 2 ** 31 - 1, Number.NaN, 1.5])
      assert.equal(identifyProcess(pid), undefined, `${pid}`);
  },
  options,
);

test(
  "identifyProcess() holds a zombie for gone",
  async () => {
    // The child of a program that never waits for it.
    const { child, firstLine, exited } = await start("sleep 600 & echo $!; exec sleep 600");
    const pid = Number(firstLine);
    const identity = identifyProcess(pid);
    assert.notEqual(identity, undefined);
    // Its parent is still the shell for a moment, which would wait for it.
    await until(() => readFileSync(`/proc/${child.pid}/comm`, "utf8") === "sleep\n");
    process.kill(pid, "SIGKILL");
    await until(() => / Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));
    assert.equal(identifyProcess(pid), undefined);
    assert.equal(isSameProcess(identity!), false);
    assert.equal(isZombie(identity!), true);
    assert.equal(isZombie({ pid, startTime: "1.none" }), false);
    child.kill("SIGKILL");
    await exited;
  },
  options,
);

test(
  "killProcess() spares another process that has the pid now",
  async () => {
    const { child, exited } = await start("echo up; exec sleep 600");
    const now = identifyProcess(child.pid!)!;
    const [ticks, boot] = now.startTime.split(".");
    for (const startTime of [`${Number(ticks) - 1}.${boot}`, `${ticks}.00000000`, String(ticks), "", "0"]) {
      assert.equal(isSameProcess({ pid: now.pid, startTime }), false, startTime);
      killProcess({ pid: now.pid, startTime });
    }
    assert.equal(isSameProcess(now), true);
    child.kill("SIGTERM");
    assert.equal(await exited, "SIGTERM");
  },
  options,
);

test(
  "identifyProcess() reads past a program's name, whatever it holds",
  async () => {
    // proc(5): the name stands in parentheses and may hold spaces and parentheses itself.
    const { child, exited } = await start(
      "printf 'x) R 1 (' > /proc/$$/comm; echo up; while :; do sleep 0.1; done",
    );
    assert.match(readFileSync(`/proc/${child.pid}/stat`, "utf8"), /\(x\) R 1 \(\)/);
    const ticks = Number(identifyProcess(child.pid!)?.startTime.split(".")[0]);
    assert.ok(ticks >= Number(ownProcess().startTime.split(".")[0]), `${ticks}`);
    child.kill("SIGKILL");
    await exited;
  },
  options,
);

test(
  "isSameProcess() takes no process for dead because there are no descriptors left to look",
  () => {
    const module = new URL("../../../src/platform/process_identity.ts", import.meta.url).href;
    const program = `
      const { openSync } = await import("node:fs");
      const { isSameProcess, ownProcess } = await import(${JSON.stringify(module)});
      const own = ownProcess();
      const open = [];
      try {
        for (;;) open.push(openSync("/dev/null", "r"));
      } catch {}
      let said;
      try {
        said = isSameProcess(own);
      } catch (error) {
        said = error.code + " " + error.errno;
      }
      console.log(said);`;
    const args = "Bun" in globalThis ? ["-e", program] : ["eval", "--no-check", program];
    const { stdout, stderr } = spawnSync(
      "/bin/sh",
      ["-c", 'ulimit -n 100; exec "$0" "$@"', process.execPath, ...args],
      { cwd: new URL("../../..", import.meta.url).pathname, encoding: "utf8" },
    );
    assert.equal(stdout.trim(), "io EMFILE", stderr);
  },
  options,
);

test(
  "ownProcess() names at least the pid where Deno may not read /proc",
  () => {
    const module = new URL("../../../src/platform/process_identity.ts", import.meta.url).href;
    const program = `
      import { ownProcess } from ${JSON.stringify(module)};
      const { pid, startTime } = ownProcess();
      console.log(pid === process.pid, startTime === "");`;
    using directory = temporaryDirectory();
    const file = join(directory.path, "program.ts");
    writeFileSync(file, program);
    const args = ["run", "--no-config", "--allow-env", "--allow-sys", "--allow-read", "--allow-write", file];
    const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    assert.equal(stdout.trim(), "true true", stderr);
  },
  { skip: "Deno" in globalThis ? undefined : "Bun has no permissions" },
);
