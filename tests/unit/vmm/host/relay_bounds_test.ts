/** What clients and guests can make the relay keep. @module */
import assert from "node:assert/strict";
import { encodeMessage } from "../../../../src/agent/codec.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";
import { RawClient } from "../../../support/host/raw_client.ts";

const options = { skip: nativeAgentProblem };
const MiB = 1024 * 1024;
const STDIN = new Uint8Array(60_000);

/** Resolves when a number has stopped changing. */
async function settled(read: () => number): Promise<number> {
  for (let last = Number.NaN, same = 0; ; ) {
    const now = read();
    same = now === last ? same + 1 : 0;
    if (same === 10) return now;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

test(
  "Relay lets clients wait that send to a guest that takes nothing, also those that come later",
  async () => {
    await using host = await FakeHost.start();
    host.stopGuest();
    try {
      for (let i = 0; i < 10; i++) {
        using raw = await RawClient.connect(host.path);
        const { firstStream } = await raw.welcome();
        const data = encodeMessage("stdin", firstStream, { data: STDIN });
        for (let sent = 0; sent < 4 * MiB; sent += data.length) raw.connection.send(data);
        const waitingBytes = await settled(() => raw.connection.bufferedBytes);
        assert.ok(i === 0 || waitingBytes > 3 * MiB, `client ${i} was rid of all but ${waitingBytes} bytes`);
        assert.ok(host.link.bufferedBytes < 2 * MiB, `${host.link.bufferedBytes} bytes for the guest`);
      }
      using late = await RawClient.connect(host.path);
      await late.welcome();
      const called = host.nextCall();
      late.connection.send(encodeMessage("kill", 0, {}));
      await called;
      assert.deepEqual(host.calls, [{ name: "kill" }]);
    } finally {
      host.continueGuest();
    }
  },
  options,
);

test(
  "Relay forgets what a client sent that left while it had to wait",
  async () => {
    await using host = await FakeHost.start();
    host.stopGuest();
    {
      using raw = await RawClient.connect(host.path);
      const { firstStream } = await raw.welcome();
      const data = encodeMessage("stdin", firstStream, { data: STDIN });
      for (let sent = 0; sent < 4 * MiB; sent += data.length) raw.connection.send(data);
      await settled(() => raw.connection.bufferedBytes);
      raw.connection.send(encodeMessage("kill", 0, {}));
    }
    host.continueGuest();
    const other = await host.connect();
    assert.ok((await other.ping()) >= 0);
    assert.deepEqual(host.calls, []);
  },
  options,
);

test(
  "Relay does not read a client that does not read its answers, and answers all once it does",
  async () => {
    await using host = await FakeHost.start();
    using raw = await RawClient.connect(host.path);
    await raw.welcome();
    raw.connection.pause();
    const count = 1_000_000;
    const touch = encodeMessage("touch", 0, {});
    const many = new Uint8Array(touch.length * count);
    for (let i = 0; i < count; i++) many.set(touch, i * touch.length);
    raw.connection.send(many);
    const waitingBytes = await settled(() => raw.connection.bufferedBytes);
    assert.ok(waitingBytes > 4 * MiB, `all but ${waitingBytes} bytes were read`);
    raw.connection.resume();
    for (let i = 0; i < count; i++) assert.equal((await raw.next()).name, "noted");
  },
  options,
);

test(
  "Relay keeps the ping of one client though another sends many",
  async () => {
    await using host = await FakeHost.start();
    using quiet = await RawClient.connect(host.path);
    using loud = await RawClient.connect(host.path);
    for (const raw of [quiet, loud]) await raw.welcome();
    host.stopGuest();
    quiet.connection.send(encodeMessage("ping", 0, { token: 7 }));
    quiet.connection.send(encodeMessage("touch", 0, {}));
    assert.equal((await quiet.next()).name, "noted"); // the ping has gone on
    for (let token = 0; token < 500; token++) loud.connection.send(encodeMessage("ping", 0, { token }));
    loud.connection.send(encodeMessage("touch", 0, {}));
    assert.equal((await loud.next()).name, "noted");
    host.continueGuest();
    const pong = await quiet.next();
    assert(pong.name === "pong");
    assert.equal(pong.fields.token, 7);
  },
  options,
);

test(
  "Relay refuses a client's requests beyond 64 that wait for their answers",
  async () => {
    await using host = await FakeHost.start();
    using raw = await RawClient.connect(host.path);
    await raw.welcome();
    host.stopGuest();
    for (let token = 0; token < 100; token++)
      raw.connection.send(encodeMessage("freeze", 0, { token, on: 1, leaseMs: 1000 }));
    const first = await raw.next();
    assert(first.name === "frozen");
    assert.deepEqual([first.fields.token, first.fields.on, first.fields.errno], [64, 0, 16]);
    host.continueGuest();
    const tokens = new Set([first.fields.token]);
    while (tokens.size < 100) {
      const answer = await raw.next();
      assert(answer.name === "frozen");
      tokens.add(answer.fields.token);
    }
  },
  options,
);
