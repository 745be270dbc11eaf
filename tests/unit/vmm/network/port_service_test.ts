/** The ports of a sandbox as its VM host process has them: opened before the guest answers, after, or never. @module */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { PortAction, PortFailure, PortProtocol } from "../../../../src/agent/port_codes.ts";
import { parsePort } from "../../../../src/network/published_port.ts";
import { NetworkService } from "../../../../src/vmm/network/port_service.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";

const options = { skip: nativeAgentProblem };
const LOOPBACK = "127.0.0.1";

/** A guest's server that says hello. */
async function greeter() {
  const server = createServer((socket) => {
    socket.on("error", () => {}); // a service that is closed breaks off what has not ended both ways
    socket.resume();
    socket.end("hello");
  });
  server.listen(0, LOOPBACK);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  };
}

async function greetingAt(port: number): Promise<string> {
  let text = "";
  const socket = connect(port, LOOPBACK);
  socket.on("data", (chunk) => {
    text += String(chunk);
  });
  await once(socket, "close");
  return text;
}

const request = (action: number, guestPort: number) => ({
  token: 7,
  action,
  protocol: PortProtocol.tcp,
  bind: LOOPBACK,
  hostPort: 0,
  guestPort,
});

test(
  "NetworkService publishes before the guest answers, and after",
  async () => {
    await using guest = await greeter();
    await using host = await FakeHost.start();
    const service = new NetworkService();
    await service.open([{ protocol: "tcp", bind: LOOPBACK, hostPort: 0, guestPort: guest.port }]);
    const { ports } = await service.control(request(PortAction.list, 0));
    const early = greetingAt(parsePort(ports[0] ?? "").hostPort);
    host.network = service;
    await service.serve(host.link, { touch: () => {} });
    assert.equal(await early, "hello", "it waited for the guest");

    const added = await service.control(request(PortAction.add, guest.port));
    assert.deepEqual([added.token, added.failure], [7, PortFailure.none]);
    assert.equal(await greetingAt(parsePort(added.ports[0] ?? "").hostPort), "hello");
    await service.close();
  },
  options,
);

test(
  "NetworkService of a sandbox without ports lists none, and publishes the first when it is asked to",
  async () => {
    await using guest = await greeter();
    await using host = await FakeHost.start();
    const service = new NetworkService();
    await service.open([]);
    host.network = service;
    await service.serve(host.link, { touch: () => {} });
    const none = { token: 7, failure: PortFailure.none, message: "", ports: [] };
    assert.deepEqual(await service.control(request(PortAction.list, 0)), none);
    const { ports } = await service.control(request(PortAction.add, guest.port));
    assert.equal(await greetingAt(parsePort(ports[0] ?? "").hostPort), "hello");
    assert.deepEqual((await service.control(request(PortAction.list, 0))).ports, ports);
    await service.close();
  },
  options,
);

test("NetworkService publishes nothing once it is closed", async () => {
  const service = new NetworkService();
  await service.close();
  const answer = await service.control(request(PortAction.add, 80));
  assert.equal(answer.failure, PortFailure.other);
  assert.match(answer.message, /stopping/);
});
