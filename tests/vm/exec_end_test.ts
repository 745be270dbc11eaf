/**
 * Programs that are made to end, and programs whose sandbox ends under them.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  AbortedError,
  AgentDisconnectedError,
  ExecOutputLimitError,
  ExecTimeoutError,
  Sandbox,
  SandboxNotRunningError,
} from "../../mod.ts";
import { HeldTimer } from "../support/held_timer.ts";
import { eventually, hostProcesses, kill } from "../support/processes.ts";
import { homeTest } from "../support/vm/vm.ts";

/** A shell, two children in its group, and a grandchild: all of them `sleep`. */
const FAMILY = "sleep 1000 & (sleep 1000 & wait) & echo up; sleep 1000";
/** A limit that a test lets come to its end: see {@linkcode HeldTimer}. */
const LIMIT_MS = 12_345;

homeTest("exec() kills the group at its timeout, and hands over what was written", async ({ create }) => {
  const sandbox = await create();
  const script = `echo partial; echo problem >&2; ${FAMILY}`;
  using limit = new HeldTimer(LIMIT_MS);
  const late = assert.rejects(sandbox.shell(script, { timeoutMs: LIMIT_MS }), (error: unknown) => {
    assert.ok(error instanceof ExecTimeoutError);
    assert.equal(error.code, "execTimeout");
    assert.equal(error.timeoutMs, LIMIT_MS);
    assert.equal(new TextDecoder().decode(error.stdout), "partial\nup\n");
    assert.equal(new TextDecoder().decode(error.stderr), "problem\n");
    return true;
  });
  await eventually(async () => {
    const texts = (await sandbox.logs()).map((entry) => entry.text()).join("");
    assert.ok(texts.includes("up\n") && texts.includes("problem\n"), texts);
  });
  await sandbox.ping(); // answered behind what went before
  await new Promise(setImmediate);
  limit.fire();
  await late;
  await noSleepIsLeft(sandbox);
});

homeTest("ExecHandle.wait() rejects at the timeout as well", async ({ create }) => {
  const sandbox = await create();
  using limit = new HeldTimer(LIMIT_MS);
  const run = await sandbox.execStream("sleep", ["1000"], { timeoutMs: LIMIT_MS });
  const late = assert.rejects(run.wait(), ExecTimeoutError);
  limit.fire();
  await late;
  await noSleepIsLeft(sandbox);
});

homeTest("an AbortSignal kills the whole group", async ({ create }) => {
  const sandbox = await create();
  const controller = new AbortController();
  const run = await sandbox.execStream("sh", ["-c", FAMILY], { signal: controller.signal });
  const reader = run.stdout.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "up\n");
  const reason = new Error("the user pressed stop");
  controller.abort(reason);
  await assert.rejects(run.wait(), (error: unknown) => {
    assert.ok(error instanceof AbortedError);
    assert.equal(error.cause, reason);
    return true;
  });
  await noSleepIsLeft(sandbox);
});

homeTest(
  "exec() rejects with AbortedError and starts nothing if its signal has fired",
  async ({ create }) => {
    const sandbox = await create();
    const signal = AbortSignal.abort(new Error("too late"));
    await assert.rejects(sandbox.exec("touch", ["/tmp/ran"], { signal }), AbortedError);
    assert.equal((await sandbox.exec("test", ["-e", "/tmp/ran"])).code, 1);
  },
);

homeTest("exec() kills what writes more than outputBytesMax, at the limit and not before", async (test) => {
  const sandbox = await test.create();
  const write = (bytes: number) =>
    sandbox.exec("head", ["-c", String(bytes), "/dev/zero"], { outputBytesMax: 100_000 });
  assert.equal((await write(100_000)).stdoutBytes().length, 100_000);
  await assert.rejects(write(100_001), (error: unknown) => {
    assert.ok(error instanceof ExecOutputLimitError);
    assert.equal(error.outputBytesMax, 100_000);
    return true;
  });
  await assert.rejects(sandbox.exec("yes", [], { outputBytesMax: 1 }), ExecOutputLimitError);
  await eventually(async () => assert.equal((await sandbox.exec("pidof", ["yes"])).code, 1));
});

homeTest("exec() does not wait for what goes on in the background", async ({ create }) => {
  const sandbox = await create();
  const output = await sandbox.shell("sleep 1000 & echo $!");
  assert.equal(output.code, 0);
  const pid = output.stdout().trim();
  assert.match(pid, /^\d+$/);
  // It was this program's own doing to leave something behind: it may go on.
  assert.equal((await sandbox.exec("kill", ["-0", pid])).code, 0);
});

homeTest("ExecHandle.signal() reaches the whole group; kill() cannot be ignored", async ({ create }) => {
  const sandbox = await create();
  const run = await sandbox.execStream("sh", ["-c", FAMILY]);
  assert.equal(new TextDecoder().decode((await run.stdout.getReader().read()).value), "up\n");
  await run.signal(15);
  assert.equal((await run.wait()).signal, 15);
  await noSleepIsLeft(sandbox);

  const stubborn = await sandbox.execStream("sh", ["-c", "trap '' TERM HUP INT; echo up; sleep 1000"]);
  assert.equal(new TextDecoder().decode((await stubborn.stdout.getReader().read()).value), "up\n");
  await stubborn.signal(15);
  await stubborn.kill();
  assert.equal((await stubborn.wait()).signal, 9);
  await stubborn.signal(15); // too late to matter
});

homeTest(
  "ExecHandle kills its program when it is disposed of, or its events are left early",
  async (test) => {
    const sandbox = await test.create();
    {
      await using run = await sandbox.execStream("sh", ["-c", FAMILY]);
      assert.ok(run.pid > 1);
    }
    await noSleepIsLeft(sandbox);
    for await (const event of await sandbox.execStream("sh", ["-c", FAMILY])) {
      if (event.kind === "stdout") break;
    }
    await noSleepIsLeft(sandbox);
  },
);

homeTest("a VM that dies rejects every waiting call, and is crashed", async ({ home, create }) => {
  const sandbox = await create();
  const running = [
    sandbox.exec("sleep", ["1000"]),
    sandbox.execStream("sleep", ["1000"]).then((run) => run.wait()),
    sandbox.execStream("cat").then((run) => new Response(run.stdout).text()),
  ].map((promise) => assert.rejects(promise, AgentDisconnectedError));
  await sandbox.ping(); // they have been asked for
  for (const { pid } of hostProcesses(home)) kill(pid);
  await Promise.all(running);

  // The kernel closes a dying process's sockets one by one: for a moment its listener may outlive our connection.
  await eventually(async () => assert.equal((await Sandbox.get(sandbox.name)).status, "crashed"));
  assert.match((await Sandbox.get(sandbox.name)).statusReason ?? "", /ended without a word/);
  await assert.rejects(sandbox.exec("true"), SandboxNotRunningError);
});

homeTest("a guest that ends its own VM leaves a crashed sandbox that can be started", async ({ create }) => {
  const sandbox = await create();
  await assert.rejects(sandbox.exec("reboot", ["-f"]), AgentDisconnectedError);
  await eventually(async () => assert.equal((await Sandbox.get(sandbox.name)).status, "crashed"));
  const again = await Sandbox.start(sandbox.name);
  assert.equal((await again.exec("echo", ["back"])).stdout(), "back\n");
});

homeTest("stop() ends programs with SIGTERM and delivers their last words", async ({ create }) => {
  const sandbox = await create();
  const script = "trap 'echo bye; exit 4' TERM; echo up; while :; do sleep 0.05; done";
  const run = await sandbox.execStream("sh", ["-c", script]);
  const words: string[] = [];
  let stopped: Promise<void> | undefined;
  for await (const chunk of run.stdout) {
    words.push(new TextDecoder().decode(chunk));
    stopped ??= sandbox.stop();
  }
  await stopped;
  assert.deepEqual(words, ["up\n", "bye\n"]);
  assert.equal((await run.wait()).code, 4);
});

async function noSleepIsLeft(sandbox: Sandbox): Promise<void> {
  await eventually(async () => assert.equal((await sandbox.exec("pidof", ["sleep"])).stdout(), ""));
}
