import assert from "node:assert/strict";
import { encodeMessage } from "../../../src/agent/codec.ts";
import { WireError } from "../../../src/agent/protocol.ts";
import { test } from "../../support/harness.ts";
import { script } from "../../support/host/in_process_host.ts";
import { SilentHost } from "../../support/host/silent_host.ts";

test("AgentClient says in the errors of its sessions why the VM host process ended the sandbox", async () => {
  await using host = await SilentHost.listen();
  const client = await host.connect({ explainEnd: async () => "not asked" });
  const session = client.startExec(script("sleep 600"));
  await host.hears(1);
  const message = "the kernel panicked; last seen:\nOops";
  for (const connection of host.connections) {
    connection.send(encodeMessage("error", 0, { code: WireError.crashed, offendingType: 0, message }));
    connection.end();
  }
  await assert.rejects(session.exited, {
    code: "agentDisconnected",
    message: `The sandbox ended: ${message}`,
  });
});

test("AgentClient asks why, if the connection ends without a word in the middle of a session", async () => {
  await using host = await SilentHost.listen();
  const explained = await host.connect({ explainEnd: async () => "its process ended with SIGSEGV" });
  const unexplained = await host.connect({ explainEnd: () => Promise.reject(new Error("no database")) });
  const sessions = [explained, unexplained].map((client) => client.startExec(script("sleep 600")));
  await host.hears(2);
  for (const connection of host.connections) connection.destroy();
  await assert.rejects(sessions[0]!.exited, {
    code: "agentDisconnected",
    message: "The sandbox ended: its process ended with SIGSEGV",
  });
  await assert.rejects(sessions[1]!.exited, { message: "The connection to the sandbox ended" });
});

test("AgentClient does not ask why it closed the connection itself", async () => {
  await using host = await SilentHost.listen();
  let asked = 0;
  const client = await host.connect({ explainEnd: async () => String(++asked) });
  const session = client.startExec(script("sleep 600"));
  client.close();
  await assert.rejects(session.exited, { code: "agentDisconnected" });
  assert.equal(asked, 0);
});
