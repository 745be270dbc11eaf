import assert from "node:assert/strict";
import { AgentClient } from "../../../src/agent/client.ts";
import { decodeMessage, encodeMessage } from "../../../src/agent/codec.ts";
import { FrameDecoder } from "../../../src/agent/frame.ts";
import { PROTOCOL_VERSION } from "../../../src/agent/protocol.ts";
import { test } from "../../support/harness.ts";
import { MemoryConnection } from "../../support/memory_connection.ts";

const WELCOME = {
  version: PROTOCOL_VERSION,
  features: 0,
  firstStream: 1,
  lastStream: 1_000_000,
  bootNumber: 2,
  sandboxId: "over-memory",
};

/** Answers pings at the other end of a connection. */
function serve(connection: MemoryConnection): void {
  const decoder = new FrameDecoder();
  connection.send(encodeMessage("welcome", 0, WELCOME));
  connection.onData((chunk) => {
    for (const frame of decoder.feed(chunk)) {
      const message = decodeMessage(frame);
      if (message?.name === "ping")
        connection.send(encodeMessage("pong", 0, { token: message.fields.token }));
    }
  });
}

test("AgentClient.over() speaks over any connection, however it cuts the bytes", async () => {
  const [near, far] = MemoryConnection.pair(3);
  serve(far);
  const client = await AgentClient.over(near);
  assert.equal(client.sandboxId, "over-memory");
  assert.equal(near.isReferenced, false, "it keeps the process alive only while it is used");
  await client.ping();
  far.destroy();
  await client.closed;
  await assert.rejects(client.ping(), { code: "agentDisconnected" });
});

test("AgentClient.over() destroys a connection on which no welcome comes", async () => {
  const [near] = MemoryConnection.pair();
  await assert.rejects(AgentClient.over(near, { timeoutMs: 5 }), {
    code: "timeout",
    message: "Timed out after 5 ms while connecting to the sandbox",
  });
  await near.closed;
});

test("AgentClient.over() rejects when its signal fires", async () => {
  const [near] = MemoryConnection.pair();
  await assert.rejects(AgentClient.over(near, { signal: AbortSignal.abort("enough") }), {
    code: "aborted",
    cause: "enough",
  });
  await near.closed;
});
