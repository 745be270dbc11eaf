/**
 * Pause and resume of a running sandbox.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { ExecFailedError, Sandbox, SandboxNotRunningError } from "../../mod.ts";
import { homeTest } from "../support/vm/vm.ts";

/** Far from now: 2001-09-09. */
const WRONG_SECONDS = 1_000_000_000;
/** A guest tells whole seconds, and its clock runs on its own. */
const CLOCK_TOLERANCE_SECONDS = 2;
const COUNTER = "i=0; while :; do i=$((i+1)); echo $i > /root/count; sleep 0.02; done";

/** A reader of the lines that a program writes. */
function lines(stream: ReadableStream<Uint8Array>): () => Promise<string> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  return async () => {
    for (;;) {
      const end = text.indexOf("\n");
      if (end >= 0) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return line;
      }
      const { value, done } = await reader.read();
      if (done) throw new Error(`the stream ended after ${JSON.stringify(text)}`);
      text += decoder.decode(value, { stream: true });
    }
  };
}

homeTest("pause() stops programs where they are, and resume() lets them go on", async ({ create }) => {
  const sandbox = await create();
  // Answers each line with its count of the lines so far: from /proc its state is seen, too.
  const asked = await sandbox.execStream("sh", ["-c", "n=0; while read line; do n=$((n+1)); echo $n; done"], {
    stdin: "pipe",
  });
  const nextLine = lines(asked.stdout);
  const stdin = asked.stdin.getWriter();
  const ask = () => stdin.write(new TextEncoder().encode("x\n"));
  await ask();
  assert.equal(await nextLine(), "1");
  await sandbox.shell(`(${COUNTER}) > /dev/null 2>&1 &`);

  await sandbox.pause();
  await sandbox.pause(); // it is
  const handle = await Sandbox.get(sandbox.name);
  assert.equal(handle.status, "paused");
  await assert.rejects(sandbox.exec("true"), (error: unknown) => {
    assert(error instanceof ExecFailedError, String(error));
    assert.equal(error.kind, "paused");
    return true;
  });
  await ask(); // waits in the pipe
  assert.ok((await sandbox.ping()).latencyMs >= 0);
  let isAnswered = false;
  const answer = nextLine().then((line) => {
    isAnswered = true;
    return line;
  });
  for (let i = 0; i < 20; i++) await sandbox.ping();
  assert.equal(isAnswered, false);

  await handle.resume();
  assert.equal(await answer, "2");
  assert.equal((await handle.refresh()).status, "running");
  const before = Number((await sandbox.exec("cat", ["/root/count"])).stdout());
  const script = `while [ $(cat /root/count) -le ${before} ]; do sleep 0.02; done`;
  assert.equal((await sandbox.shell(script)).code, 0);
  await stdin.close();
  assert.equal((await asked.wait()).code, 0);
});

homeTest("resume() sets a guest's clock that is wrong", async ({ create }) => {
  const sandbox = await create();
  const guestSeconds = async () => Number((await sandbox.exec("date", ["+%s"])).stdout());
  assert.equal((await sandbox.exec("date", ["-s", `@${WRONG_SECONDS}`])).code, 0);
  await sandbox.pause();
  await sandbox.resume();
  const begin = Math.floor(Date.now() / 1000);
  const seconds = await guestSeconds();
  const end = Math.ceil(Date.now() / 1000);
  const isRight = begin - CLOCK_TOLERANCE_SECONDS <= seconds && seconds <= end + CLOCK_TOLERANCE_SECONDS;
  assert.ok(isRight, `the guest's clock says ${seconds}, between ${begin} and ${end}`);
});

homeTest("stop() of a paused sandbox ends its programs in order", async ({ create, home }) => {
  const sandbox = await create();
  const script = "trap 'echo asked > /root/asked; exit 0' TERM; echo up; while :; do sleep 0.05; done";
  const running = await sandbox.execStream("sh", ["-c", script]);
  assert.equal(await lines(running.stdout)(), "up");
  await sandbox.pause();
  await sandbox.stop();
  const handle = await Sandbox.get(sandbox.name);
  assert.equal(handle.status, "stopped");
  await assert.rejects(handle.pause(), SandboxNotRunningError);
  execFileSync("e2fsck", ["-fn", join(home, "sandboxes", sandbox.name, "upper.ext4")], { stdio: "pipe" });
  const again = await Sandbox.start(sandbox.name);
  assert.equal((await again.exec("cat", ["/root/asked"])).stdout(), "asked\n");
});

homeTest(
  "time limits go on while a sandbox is paused, where a program that stands still runs",
  async ({ create }) => {
    const busy = await create({ name: "busy" });
    await busy.execStream("sleep", ["infinity"]);
    await busy.pause();
    await busy.setTimeLimits({ idleTimeoutMs: 1 });
    await busy.ping(); // time for the idle timeout to end it, if it counted
    await busy.setTimeLimits({ maxDurationMs: 1 });
    assert.equal((await busy.waitUntilStopped()).reason, "maxDuration");

    const idle = await create({ name: "idle" });
    await idle.pause();
    await idle.setTimeLimits({ idleTimeoutMs: 1 });
    assert.equal((await idle.waitUntilStopped()).reason, "idleTimeout");
  },
);
