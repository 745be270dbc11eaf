/** The events `failed` and `stdinError`. @module */
import assert from "node:assert/strict";
import { ExecFailedError, type ExecHandle, IoError } from "../../../../mod.ts";
import type { ExecEvent } from "../../../../src/sandbox/exec/exec_output.ts";
import { fieldsOf, withSandbox } from "../../../support/backend/over_memory.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";

const options = { skip: nativeAgentProblem };
const KiB = 1024;
const asEvent = { startFailure: "event" } as const;

async function eventsOf(handle: ExecHandle): Promise<ExecEvent[]> {
  const events: ExecEvent[] = [];
  for await (const event of handle) events.push(event);
  return events;
}

function kindsOf(events: readonly ExecEvent[]): string {
  return events.map(({ kind }) => kind).join(" ");
}

test(
  "ExecHandle yields failed, and nothing else, if a start that is to be an event fails",
  () =>
    withSandbox(async (sandbox) => {
      const cases = [
        { run: () => sandbox.execStream("/no/such", [], asEvent), reason: "notFound", errno: 2 },
        {
          run: () => sandbox.execStream({ command: "/etc", ...asEvent }),
          reason: "permissionDenied",
          errno: 13,
        },
        {
          run: () => sandbox.shellStream("true", { ...asEvent, cwd: "/no/such" }),
          reason: "badCwd",
          errno: 2,
        },
        {
          run: () => sandbox.execStream("true", ["x".repeat(2 * KiB * KiB)], asEvent),
          reason: "badArguments",
          errno: 0,
        },
      ] as const;
      for (const { run, reason, errno } of cases) {
        const handle = await run();
        assert.equal(handle.pid, 0);
        const error = await handle.wait().catch((found: unknown) => found);
        assert.ok(error instanceof ExecFailedError);
        assert.deepEqual(await eventsOf(handle), [{ kind: "failed", reason, errno, message: error.message }]);
        assert.equal(await handle.recv(), null);
      }
    }),
  options,
);

test(
  "ExecHandle of a start that failed has the error everywhere else, and does nothing",
  () =>
    withSandbox(async (sandbox) => {
      const cancelled = Promise.withResolvers<void>();
      const stdin = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve() });
      await using handle = await sandbox.execStream("/no/such", [], { ...asEvent, stdin, timeoutMs: 60_000 });
      const failed = { code: "execFailed", kind: "notFound" };
      await assert.rejects(handle.wait(), failed);
      await assert.rejects(new Response(handle.stdout).text(), failed);
      await assert.rejects(new Response(handle.stderr).text(), failed);
      await handle.signal("SIGTERM");
      await handle.kill();
      await handle.resize(1, 1);
      const writer = handle.stdin.getWriter();
      await assert.rejects(writer.write(new Uint8Array(1)), IoError);
      await assert.rejects(handle.collect(), failed);
      await cancelled.promise;
      // The connection has borne all of that.
      assert.equal((await sandbox.exec("echo", ["ok"])).stdout(), "ok\n");
    }),
  options,
);

test(
  "Sandbox.execStream() rejects if the program cannot be started, unless that is to be an event",
  () =>
    withSandbox(async (sandbox) => {
      const failed = { code: "execFailed", kind: "notFound" };
      await assert.rejects(sandbox.execStream("/no/such"), failed);
      await assert.rejects(sandbox.execStream("/no/such", [], { startFailure: "reject" }), failed);
      await assert.rejects(
        sandbox.execStream("a", [], { startFailure: "no" as "event" }),
        fieldsOf("startFailure"),
      );
      // It is an option of streams: exec() has no events.
      await assert.rejects(sandbox.exec("a", [], asEvent as object), fieldsOf("startFailure"));
      await assert.rejects(sandbox.$(asEvent as object)`true`, fieldsOf("startFailure"));
      const started = await sandbox.execStream("true", [], asEvent);
      assert.equal(kindsOf(await eventsOf(started)), "started exited");
    }),
  options,
);

test(
  "Sandbox.execStream() rejects with what is no failure of the start, also if that is to be an event",
  () =>
    withSandbox(async (sandbox) => {
      const aborted = sandbox.execStream("true", [], { ...asEvent, signal: AbortSignal.abort() });
      await assert.rejects(aborted, { code: "aborted" });
      await sandbox.stop();
      await assert.rejects(sandbox.execStream("true", [], asEvent), { code: "sandboxNotRunning" });
    }),
  options,
);

test(
  "ExecHandle yields stdinError once when the program reads no more, and goes on",
  () =>
    withSandbox(async (sandbox) => {
      const bytes = new Uint8Array(1024 * KiB);
      const run = await sandbox.shellStream("exec <&-; echo closed; sleep 600", { stdin: { bytes } });
      const events: ExecEvent[] = [];
      for await (const event of run) {
        events.push(event);
        if (event.kind === "stdinError") await run.signal("SIGTERM");
      }
      assert.equal(kindsOf(events.filter(({ kind }) => kind !== "stdout")), "started stdinError exited");
      assert.deepEqual(
        events.find(({ kind }) => kind === "stdinError"),
        { kind: "stdinError", errno: 32 },
      );
    }),
  options,
);

test(
  "ExecHandle yields no stdinError if the program reads all, and collect() minds none",
  () =>
    withSandbox(async (sandbox) => {
      const stdin = new Uint8Array(1024 * KiB);
      const all = await sandbox.execStream("wc", ["-c"], { stdin });
      assert.equal(kindsOf(await eventsOf(all)), "started stdout exited");
      assert.equal((await sandbox.exec("head", ["-c", "1"], { stdin })).code, 0);
      const { code } = await sandbox.shell("exec <&-; exit 3", { stdin });
      assert.equal(code, 3);
    }),
  options,
);
