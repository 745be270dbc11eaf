import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { AgentClient } from "../../../src/agent/client.ts";
import { encodeMessage } from "../../../src/agent/codec.ts";
import { PROTOCOL_VERSION, SESSIONS_MAX } from "../../../src/agent/protocol.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import type { UnixConnection } from "../../../src/platform/unix_connection.ts";
import { listenUnix } from "../../../src/platform/unix_socket.ts";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { FakeHost, script } from "../../support/host/in_process_host.ts";
import { SilentHost } from "../../support/host/silent_host.ts";

const options = { skip: nativeAgentProblem };

/** Somebody who listens and says what the test says. */
async function listener(
  accept: (connection: UnixConnection) => void,
): Promise<AsyncDisposable & { path: string }> {
  const directory = temporaryDirectory();
  const path = join(directory.path, "relay.sock");
  const server = await listenUnix(path, (connection) => {
    connection.onData(() => {});
    accept(connection);
  });
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await server.close();
      directory[Symbol.dispose]();
    },
  };
}

const WELCOME = {
  version: PROTOCOL_VERSION,
  features: 0,
  firstStream: 1,
  lastStream: 3,
  bootNumber: 2,
  sandboxId: "other",
};

test("AgentClient.connect() rejects with IoError if no process listens", async () => {
  using directory = temporaryDirectory();
  await assert.rejects(AgentClient.connect(join(directory.path, "none")), { code: "io", errno: "ENOENT" });
});

test("AgentClient.connect() rejects with TimeoutError if no greeting arrives in time", async () => {
  await using host = await listener(() => {});
  await assert.rejects(AgentClient.connect(host.path, { timeoutMs: 20 }), { code: "timeout", timeoutMs: 20 });
});

test("AgentClient.connect() rejects with AbortedError when its signal fires before the greeting", async () => {
  const controller = new AbortController();
  await using host = await listener(() => setTimeout(() => controller.abort("enough"), 30)); // connected by then
  await assert.rejects(AgentClient.connect(host.path, { signal: controller.signal }), {
    code: "aborted",
    cause: "enough",
  });
  await assert.rejects(AgentClient.connect(host.path, { signal: controller.signal }), { code: "aborted" });
});

test("AgentClient.connect() rejects with AgentHandshakeError if the other side hangs up", async () => {
  await using host = await listener((connection) => connection.end());
  await assert.rejects(AgentClient.connect(host.path), { code: "agentHandshake", message: /hung up/ });
});

test("AgentClient.connect() rejects with AgentHandshakeError at another protocol version", async () => {
  await using host = await listener((connection) =>
    connection.send(encodeMessage("welcome", 0, { ...WELCOME, version: PROTOCOL_VERSION + 1 })),
  );
  await assert.rejects(AgentClient.connect(host.path), {
    code: "agentHandshake",
    message: new RegExp(`protocol ${PROTOCOL_VERSION + 1}`),
    hint: /start it again/,
  });
});

test("AgentClient.connect() rejects with AgentHandshakeError at another first message", async () => {
  await using host = await listener((connection) => connection.send(encodeMessage("ping", 0, { token: 1 })));
  await assert.rejects(AgentClient.connect(host.path), { code: "agentHandshake", message: /got ping/ });
});

test("AgentClient.connect() rejects with ProtocolError at bytes that are no frame", async () => {
  await using host = await listener((connection) => connection.send(new Uint8Array(12).fill(0xff)));
  await assert.rejects(AgentClient.connect(host.path), { code: "protocol" });
});

test("AgentClient.connect() accepts a welcome that comes in single bytes", async () => {
  await using host = await listener(async (connection) => {
    for (const byte of encodeMessage("welcome", 0, WELCOME)) {
      connection.send(Uint8Array.of(byte));
      await connection.drained();
    }
  });
  const client = await AgentClient.connect(host.path);
  assert.deepEqual([client.sandboxId, client.bootNumber], ["other", 2]);
  client.close();
  await client.closed;
});

test("AgentClient.startExec() refuses when its stream numbers are used up", async () => {
  await using host = await listener((connection) => connection.send(encodeMessage("welcome", 0, WELCOME)));
  const client = await AgentClient.connect(host.path);
  for (let i = 0; i < 3; i++) client.startExec(script("true"));
  assert.throws(() => client.startExec(script("true")), { code: "execFailed", kind: "tooManySessions" });
  client.close();
});

test("AgentClient is used up while it has numbers for those who hold it, and ends when they are done", async () => {
  const lastStream = SESSIONS_MAX + 1;
  await using host = await SilentHost.listen({ welcome: { firstStream: 1, lastStream } });
  const client = await AgentClient.connect(host.path);
  assert.equal(client.isUsedUp, false);
  const first = client.startExec(script("true"));
  assert.equal(client.isUsedUp, true);
  client.closeWhenIdle();
  const second = client.startExec(script("true")); // by somebody who got it just before
  await host.hears(2);
  first.disconnect(new Error("done"));
  const ping = client.ping(1).catch(() => {}); // never answered
  await host.hears(3);
  await ping;
  await client.holding(Promise.resolve());
  assert.deepEqual(host.heard, ["execStart", "execStart", "ping"], "it is open");
  second.disconnect(new Error("done"));
  await client.closed;
});

test(
  "AgentClient.startExec() rejects with AgentDisconnectedError on a connection that has ended",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    client.close();
    await client.closed;
    const session = client.startExec(script("true"));
    await assert.rejects(session.started, { code: "agentDisconnected" });
    await session.finished;
  },
  options,
);

test("AgentClient rejects what is under way with AgentDisconnectedError when the host goes away", async () => {
  await using host = await listener((connection) => {
    connection.send(encodeMessage("welcome", 0, WELCOME));
    connection.onData(() => connection.end());
  });
  const client = await AgentClient.connect(host.path);
  const session = client.startExec(script("sleep 600"));
  const ping = client.ping();
  const ended = { code: "agentDisconnected" };
  await assert.rejects(ping, ended);
  await assert.rejects(session.started, ended);
  await assert.rejects(session.exited, ended);
  await assert.rejects(session.settled, ended);
  await assert.rejects(session.outputs.get("stdout")!.next(), ended);
  await session.finished;
  await client.closed;
});

test("AgentClient says that the sandbox was stopped if it was told so", async () => {
  await using host = await listener((connection) => {
    connection.send(encodeMessage("welcome", 0, WELCOME));
    connection.onData(() => {
      connection.send(encodeMessage("stopped", 0, { clean: 1 }));
      connection.end();
    });
  });
  const client = await AgentClient.connect(host.path);
  await assert.rejects(client.ping(), { code: "agentDisconnected" });
  await client.closed;
  assert.deepEqual(client.stopped, { clean: true });
});

test("AgentClient.ping() rejects with TimeoutError if the guest is silent", async () => {
  await using host = await listener((connection) => connection.send(encodeMessage("welcome", 0, WELCOME)));
  const client = await AgentClient.connect(host.path);
  await assert.rejects(client.ping(30), { code: "timeout", timeoutMs: 30 });
  client.close();
});

test("AgentClient ends its connection at data beyond the window", async () => {
  const overrun = new Uint8Array(64 * 1024);
  await using host = await listener((connection) => {
    connection.send(encodeMessage("welcome", 0, WELCOME));
    connection.onData(() => {
      for (let i = 0; i < 5; i++) connection.send(encodeMessage("stdout", 1, { data: overrun }));
    });
  });
  const client = await AgentClient.connect(host.path);
  const session = client.startExec(script("true"));
  await client.closed;
  await assert.rejects(session.exited, { code: "agentDisconnected" });
});

test(
  "AgentClient keeps a process alive only while something is under way",
  async () => {
    await using host = await FakeHost.start();
    const code = `
    import { AgentClient } from ${JSON.stringify(new URL("../../../src/agent/client.ts", import.meta.url).href)};
    const client = await AgentClient.connect(process.argv.at(-1));
    const session = client.startExec({
      argv: ["sh", "-c", "sleep 0.2; exit 5"], env: ["PATH=/usr/bin:/bin"], cwd: "/", user: "", rlimits: [], stdin: false,
    });
    client.holding(session.exited).then(({ code }) => console.log("exit", code));
  `;
    using directory = temporaryDirectory();
    const program = join(directory.path, "program.ts");
    await (await import("node:fs/promises")).writeFile(program, code);
    const { file, args } = runtimeCommand(new URL(`file://${program}`));
    const child = spawn(file, [...args, host.path], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.on("data", (chunk: Uint8Array) => {
      output += new TextDecoder().decode(chunk);
    });
    const exitCode = await new Promise((resolve) => child.once("close", resolve));
    assert.deepEqual([exitCode, output], [0, "exit 5\n"]); // and it did end, with the connection open
  },
  options,
);
