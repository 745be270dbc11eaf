/** Callers of a sandbox whose host process or guest hangs: each waits as long as it said, and no longer. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { AgentClient, Connector } from "../../../../src/agent/client.ts";
import { runtimeCommand } from "../../../../src/platform/runtime.ts";
import { ExecHandle } from "../../../../src/sandbox/exec/exec_handle.ts";
import { connectPort } from "../../../../src/sandbox/network/connection.ts";
import { fetchPort } from "../../../../src/sandbox/network/fetch.ts";
import { request } from "../../../support/guest/exec_sessions.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import { FakeHost, script } from "../../../support/host/in_process_host.ts";
import { SilentHost } from "../../../support/host/silent_host.ts";
import { eventually } from "../../../support/processes.ts";

const SHORT_MS = 20;
/** Longer than a test may take: a process that waits for it does not end in time. */
const LONG_MS = 600_000;
const ETIMEDOUT = 110;
const forever = script("exec sleep 600");

/** One that is never there, and gives up when it is told. */
const unreachable: Connector = {
  connect: ({ signal } = {}) =>
    new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason))),
};

/** A sandbox that is connected to: what is asked of it is sent before any time can be over. */
async function connected(host: { connect(): Promise<AgentClient> }): Promise<Connector> {
  const client = await host.connect();
  return { connect: async () => client };
}

test("ExecHandle.start() rejects after its timeoutMs though nobody answers", async () => {
  await using host = await SilentHost.listen();
  const sandbox = await connected(host);
  await assert.rejects(ExecHandle.start(sandbox, request(forever, { timeoutMs: SHORT_MS })), {
    code: "execTimeout",
    timeoutMs: SHORT_MS,
  });
  await host.hears(2);
  assert.deepEqual(host.heard, ["execStart", "close"], "a host that wakes up is not to leave it running");
});

test("ExecHandle.start() rejects when its signal fires though nobody answers", async () => {
  await using host = await SilentHost.listen();
  const controller = new AbortController();
  const detached = script("exec sleep 600", { detached: true });
  const starting = ExecHandle.start(host, request(detached, { signal: controller.signal }));
  await host.hears(1);
  controller.abort("enough");
  await assert.rejects(starting, { code: "aborted", cause: "enough" });
  await host.hears(3);
  assert.deepEqual(host.heard, ["execStart", "signal", "close"], "closing alone lets a detached one go on");
});

test("ExecHandle.start() rejects in time though there is no connection yet", async () => {
  await using host = await SilentHost.listen({ welcome: "none" });
  for (const sandbox of [host, unreachable]) {
    const late = { code: "execTimeout", timeoutMs: SHORT_MS };
    await assert.rejects(ExecHandle.start(sandbox, request(forever, { timeoutMs: SHORT_MS })), late);
    const signal = AbortSignal.timeout(SHORT_MS);
    await assert.rejects(ExecHandle.start(sandbox, request(forever, { signal })), (error: Error) => {
      assert.equal(error.cause, signal.reason);
      return true;
    });
  }
});

test(
  "ExecHandle.start() that gave up on a guest leaves no program there when it wakes up",
  async () => {
    await using host = await FakeHost.start();
    const sandbox = await connected(host);
    host.stopGuest();
    const start = script("echo $$; exec sleep 600");
    await assert.rejects(ExecHandle.start(sandbox, request(start, { timeoutMs: SHORT_MS })), {
      code: "execTimeout",
    });
    host.continueGuest();
    // It was started and killed before it is looked for, but a process that is killed takes a moment to go.
    const look = script("pgrep -P $PPID -x sleep");
    await eventually(async () => {
      const seen = await (await ExecHandle.start(host, request(look))).collect();
      assert.deepEqual([seen.stdout(), seen.code], ["", 1]);
    });
  },
  { skip: nativeAgentProblem },
);

test("ExecHandle.start() that gave up does not keep its process alive", async () => {
  using directory = temporaryDirectory();
  const program = join(directory.path, "program.ts");
  const url = (path: string) => JSON.stringify(new URL(`../../../../src/${path}`, import.meta.url).href);
  writeFileSync(
    program,
    `
    import { AgentClient } from ${url("agent/client.ts")};
    import { ExecHandle } from ${url("sandbox/exec/exec_handle.ts")};
    const connect = (options) => AgentClient.connect(process.argv.at(-1), { ...options, timeoutMs: ${LONG_MS} });
    const client = process.argv.at(-2) === "connected" ? await connect() : undefined;
    const sandbox = client === undefined ? { connect } : { connect: async () => client };
    const request = ${JSON.stringify(request(forever, { timeoutMs: SHORT_MS }))};
    await ExecHandle.start(sandbox, request).catch((error) => console.log(error.code));
  `,
  );
  const { file, args } = runtimeCommand(new URL(`file://${program}`));
  for (const state of ["connected", "connecting"]) {
    await using host = await SilentHost.listen(state === "connected" ? {} : { welcome: "none" });
    const child = spawn(file, [...args, state, host.path], { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "close");
    assert.equal(await text(child.stdout), "execTimeout\n", state);
    assert.deepEqual(await ended, [0, null], state);
  }
});

test("connect() rejects after its timeoutMs, or when its signal fires, though nobody answers", async () => {
  await using host = await SilentHost.listen();
  for (const sandbox of [await connected(host), unreachable]) {
    const late = { code: "connectFailed", errno: ETIMEDOUT, port: 80 };
    await assert.rejects(connectPort(sandbox, 80, { timeoutMs: SHORT_MS }), late);
    const signal = AbortSignal.timeout(SHORT_MS);
    await assert.rejects(connectPort(sandbox, 80, { signal }), { code: "aborted" });
  }
  await host.hears(4);
  assert.deepEqual(host.heard, ["tcpConnect", "close", "tcpConnect", "close"]);
});

test("fetch() rejects after its connectTimeoutMs, or when its signal fires, though nobody answers", async () => {
  await using host = await SilentHost.listen();
  for (const sandbox of [host, unreachable]) {
    const late = { code: "connectFailed", errno: ETIMEDOUT, port: 80 };
    await assert.rejects(fetchPort(sandbox, 80, "/", { connectTimeoutMs: SHORT_MS }), late);
    const signal = AbortSignal.timeout(SHORT_MS);
    await assert.rejects(fetchPort(sandbox, 80, "/", { signal }), { code: "aborted" });
  }
});
