import assert from "node:assert/strict";
import type { AgentClient } from "../../../../src/agent/client.ts";
import { encodeMessage } from "../../../../src/agent/codec.ts";
import { MESSAGES, RELAY_CLIENTS_MAX, SESSIONS_MAX, WireError } from "../../../../src/agent/protocol.ts";
import { connectUnix } from "../../../../src/platform/unix_socket.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost, script } from "../../../support/host/in_process_host.ts";
import { RawClient } from "../../../support/host/raw_client.ts";

const options = { skip: nativeAgentProblem };

test(
  "Relay greets each client with a range of streams of its own",
  async () => {
    await using host = await FakeHost.start();
    using first = await RawClient.connect(host.path);
    using second = await RawClient.connect(host.path);
    const ranges = [await first.welcome(), await second.welcome()];
    assert.ok(ranges[0]!.lastStream < ranges[1]!.firstStream);
    assert.ok(ranges[0]!.firstStream > 0);
    assert.deepEqual([ranges[0]!.sandboxId, ranges[0]!.bootNumber], ["test", 1]);
  },
  options,
);

test(
  "Relay greets clients that came while the guest booted as soon as it answers",
  async () => {
    await using host = await FakeHost.listen();
    const client = host.connect();
    await host.bootGuest();
    const session = (await client).startExec(script("exit 3"));
    assert.deepEqual(await session.exited, { code: 3, signal: undefined });
  },
  options,
);

test(
  "Relay forgets clients that came and went while the guest booted",
  async () => {
    await using host = await FakeHost.listen();
    // More than may be connected at a time: each look for a sign of life is one.
    for (let i = 0; i < RELAY_CLIENTS_MAX + 10; i++) {
      const connection = await connectUnix(host.path);
      connection.destroy();
      await connection.closed;
    }
    const client = host.connect();
    await host.bootGuest();
    assert.ok((await (await client).ping()) >= 0);
  },
  options,
);

test(
  "Relay serves 128 clients and refuses the 129th with a reason",
  async () => {
    await using host = await FakeHost.start();
    const clients = await Promise.all(Array.from({ length: RELAY_CLIENTS_MAX }, () => host.connect()));
    await assert.rejects(host.connect(), { code: "agentHandshake", message: /128 clients are connected/ });
    using raw = await RawClient.connect(host.path);
    const refusal = await raw.next();
    assert(refusal.name === "error");
    assert.equal(refusal.fields.code, WireError.tooManyClients);
    await raw.connection.closed;
    clients[7]!.close();
    await clients[7]!.closed;
    const late = await connectWhenFree(host);
    assert.ok((await late.ping()) >= 0);
    await Promise.all(clients.filter((_, index) => index !== 7).map((client) => client.ping()));
  },
  options,
);

/** The relay learns of a leave a little later than the client. */
async function connectWhenFree(host: FakeHost): Promise<AgentClient> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await host.connect();
    } catch (error) {
      if (attempt === 500) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

test(
  "Relay refuses a client a UDP flow, which has no window that would bound what waits for it",
  async () => {
    await using host = await FakeHost.start();
    using raw = await RawClient.connect(host.path);
    const { firstStream } = await raw.welcome();
    raw.connection.send(encodeMessage("udpOpen", firstStream, { port: 53 }));
    assert.equal((await raw.next()).name, "error");
    await raw.connection.closed;
  },
  options,
);

test(
  "Relay refuses a stream that is another client's, and ends the connection",
  async () => {
    await using host = await FakeHost.start();
    const victim = await host.connect();
    const session = victim.startExec(script("echo up; read line; echo got $line", { stdin: true }));
    const stdout = session.outputs.get("stdout")!;
    assert.equal(new TextDecoder().decode(await stdout.next()), "up\n");

    using raw = await RawClient.connect(host.path);
    const { firstStream } = await raw.welcome();
    const foreign = firstStream - 2 ** 24; // the first client's first stream
    const signal = encodeMessage("signal", foreign, { signal: 9, scope: 0 });
    // More of it in the same breath, and a program that would be its own: nothing of that is heard.
    raw.connection.send(signal);
    raw.connection.send(signal);
    raw.connection.send(encodeMessage("kill", 0, {}));
    const refusal = await raw.next();
    assert(refusal.name === "error");
    assert.equal(refusal.fields.code, WireError.badStream);
    await raw.connection.closed;

    await session.stdin.write(new TextEncoder().encode("on\n"));
    assert.equal(new TextDecoder().decode(await stdout.next()), "got on\n");
    assert.equal((await session.exited).code, 0);
    assert.deepEqual(host.calls, [], "what came after the offence was acted on");
  },
  options,
);

test(
  "Relay ends a connection that is out of step, and only that one",
  async () => {
    await using host = await FakeHost.start();
    const other = await host.connect();
    using raw = await RawClient.connect(host.path);
    await raw.welcome();
    raw.connection.send(new Uint8Array(64).fill(0xff));
    const refusal = await raw.next();
    assert(refusal.name === "error");
    assert.equal(refusal.fields.code, WireError.malformed);
    await raw.connection.closed;
    assert.ok((await other.ping()) >= 0);
  },
  options,
);

test(
  "Relay answers an unknown control message and goes on",
  async () => {
    await using host = await FakeHost.start();
    using raw = await RawClient.connect(host.path);
    await raw.welcome();
    raw.connection.send(
      encodeMessage("hello", 0, { version: 1, features: 0, agentVersion: "I am the guest" }),
    );
    const answer = await raw.next();
    assert(answer.name === "error");
    assert.deepEqual(
      [answer.fields.code, answer.fields.offendingType],
      [WireError.unknownType, MESSAGES.hello.type],
    );
    raw.connection.send(encodeMessage("ping", 0, { token: 5 }));
    const pong = await raw.next();
    assert(pong.name === "pong");
    assert.equal(pong.fields.token, 5);
  },
  options,
);

test(
  "Relay brings each pong back to the client that asked",
  async () => {
    await using host = await FakeHost.start();
    const raws = await Promise.all(Array.from({ length: 8 }, () => RawClient.connect(host.path)));
    try {
      for (const raw of raws) await raw.welcome();
      // All use the same tokens, backwards and forwards: only the relay can tell them apart.
      for (const [index, { connection }] of raws.entries())
        for (const token of [7, index, 7 + index]) connection.send(encodeMessage("ping", 0, { token }));
      for (const [index, raw] of raws.entries()) {
        for (const token of [7, index, 7 + index]) {
          const pong = await raw.next();
          assert(pong.name === "pong");
          assert.equal(pong.fields.token, token);
        }
      }
    } finally {
      for (const raw of raws) raw[Symbol.dispose]();
    }
  },
  options,
);

test(
  "Relay kills the programs of a client that leaves, and no others",
  async () => {
    await using host = await FakeHost.start();
    const leaving = await host.connect();
    const staying = await host.connect();
    const pid = await leaving.startExec(script("sleep 600 & wait")).started;
    const kept = staying.startExec(script("sleep 600"));
    const keptPid = await kept.started;
    const detached = leaving.startExec(script("exec sleep 600", { detached: true }));
    const detachedPid = await detached.started;
    leaving.close();
    await leaving.closed;
    const watcher = staying.startExec(script(`while kill -0 ${pid} 2>/dev/null; do sleep 0.02; done`));
    assert.equal((await watcher.exited).code, 0);
    const alive = staying.startExec(script(`kill -0 ${keptPid} && kill -0 ${detachedPid}`));
    assert.equal((await alive.exited).code, 0);
    await staying.startExec(script(`kill -9 ${detachedPid}`)).exited;
    kept.signal(9);
    assert.deepEqual(await kept.exited, { code: 137, signal: 9 });
  },
  options,
);

test(
  "Relay never gives a stream number to a second client",
  async () => {
    await using host = await FakeHost.start();
    const seen = new Set<number>();
    for (let i = 0; i < RELAY_CLIENTS_MAX + 2; i++) {
      using raw = await RawClient.connect(host.path);
      const { firstStream } = await raw.welcome();
      raw.connection.send(encodeMessage("close", firstStream, {})); // uses the number
      raw.connection.send(encodeMessage("ping", 0, { token: 1 }));
      await raw.next();
      assert.ok(!seen.has(firstStream), `stream ${firstStream} came again`);
      seen.add(firstStream);
    }
  },
  options,
);

test(
  "Relay begins a slot anew when it has too few stream numbers left",
  async () => {
    await using host = await FakeHost.start();
    const ranges = [];
    for (let i = 0; i < RELAY_CLIENTS_MAX + 1; i++) {
      using raw = await RawClient.connect(host.path);
      const { firstStream, lastStream } = await raw.welcome();
      ranges.push(firstStream);
      raw.connection.send(encodeMessage("close", lastStream - SESSIONS_MAX, {})); // uses all before it
      raw.connection.send(encodeMessage("ping", 0, { token: 1 }));
      await raw.next();
    }
    assert.equal(ranges.at(-1), ranges[0]);
  },
  options,
);

test(
  "Relay hands stop and kill on",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    let called = host.nextCall();
    client.requestStop(1234);
    await called;
    called = host.nextCall();
    client.requestKill();
    await called;
    assert.deepEqual(host.calls, [{ name: "stop", graceMs: 1234 }, { name: "kill" }]);
  },
  options,
);

test(
  "Relay tells clients that the sandbox was stopped",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const session = client.startExec(script("sleep 600"));
    await session.started;
    host.relay.announceStopped(true);
    await client.ping();
    assert.deepEqual(client.stopped, { clean: true });
  },
  options,
);

test(
  "Relay tells clients why the sandbox crashed",
  async () => {
    await using host = await FakeHost.start();
    using raw = await RawClient.connect(host.path);
    await raw.welcome();
    host.relay.announceCrashed("the kernel panicked");
    const told = await raw.next();
    assert(told.name === "error");
    assert.deepEqual([told.fields.code, told.fields.message], [WireError.crashed, "the kernel panicked"]);
    await host.relay.drained();
  },
  options,
);

test(
  "Relay logs what programs write, in order and with the end of each stream",
  async () => {
    await using host = await FakeHost.start();
    const client = await host.connect();
    const first = client.startExec(script("printf one; printf two >&2"));
    await first.finished;
    const second = client.startExec(script("printf three"));
    await second.finished;
    const of = (source: string) => host.logged.filter((entry) => entry.source === source);
    assert.deepEqual(
      of("stdout").map(({ sessionId, text }) => [sessionId, text]),
      [
        [first.logSessionId, "one"],
        [first.logSessionId, undefined],
        [second.logSessionId, "three"],
        [second.logSessionId, undefined],
      ],
    );
    assert.notEqual(first.logSessionId, second.logSessionId);
    assert.deepEqual(
      of("stderr").map(({ text }) => text),
      ["two", undefined, undefined],
    );
  },
  options,
);

test(
  "Relay logs the output of a program whose client has left",
  async () => {
    await using host = await FakeHost.start();
    const leaving = await host.connect();
    const detached = leaving.startExec(script("read line; printf late", { stdin: true, detached: true }));
    const pid = await detached.started;
    leaving.close(); // also ends the program's input, upon which it writes
    const staying = await host.connect();
    const watcher = staying.startExec(script(`while kill -0 ${pid} 2>/dev/null; do sleep 0.02; done`));
    await watcher.exited;
    await staying.ping(); // behind everything that was written before
    assert.ok(
      host.logged.some(({ text }) => text === "late"),
      JSON.stringify(host.logged),
    );
  },
  options,
);
