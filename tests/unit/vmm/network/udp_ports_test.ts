/** Published UDP ports: real sockets, a native agent, and a server of the test's own as the guest's. @module */
import assert from "node:assert/strict";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { NetworkError, PortInUseError } from "../../../../mod.ts";
import { PortAction, PortFailure, PortProtocol } from "../../../../src/agent/port_codes.ts";
import { UDP_BUFFERED_BYTES_MAX, UdpSession } from "../../../../src/agent/udp_session.ts";
import { Activity } from "../../../../src/vmm/host/activity.ts";
import { NetworkStreams } from "../../../../src/vmm/network/guest_streams.ts";
import { PublishedPorts } from "../../../../src/vmm/network/published_ports.ts";
import { Answers, UDP_FLOWS_MAX } from "../../../../src/vmm/network/udp_ports.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";
import { eventually } from "../../../support/processes.ts";

const options = { skip: nativeAgentProblem };
const LOOPBACK = "127.0.0.1";
const ATTEMPTS_MAX = 200;
const ATTEMPT_MS = 25;

/** A socket of one address, with what it gets; it ends with its scope. */
class Endpoint implements Disposable {
  readonly socket: Socket;
  readonly texts: string[] = [];
  readonly senders: RemoteInfo[] = [];

  static async open(host = LOOPBACK): Promise<Endpoint> {
    const endpoint = new Endpoint(host);
    endpoint.socket.bind(0, host);
    await once(endpoint.socket, "listening");
    return endpoint;
  }

  private constructor(host: string) {
    this.socket = createSocket(host.includes(":") ? "udp6" : "udp4");
    this.socket.on("error", () => {}); // a refusal of an earlier datagram
    this.socket.on("message", (data, from) => {
      this.texts.push(String(data));
      this.senders.push(from);
    });
  }

  /** Has each datagram answered by `answer` of it. */
  answering(answer: (text: string) => string): this {
    this.socket.on("message", (data, { port, address }) =>
      this.socket.send(answer(String(data)), port, address),
    );
    return this;
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(text: string, port: number, host = LOOPBACK): void {
    this.socket.send(text, port, host);
  }

  /** Sends `text` until something comes back, as a client of a lossy network does. */
  async ask(text: string, port: number, host = LOOPBACK): Promise<string> {
    const before = this.texts.length;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      this.send(text, port, host);
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_MS));
      const answer = this.texts[before];
      if (answer !== undefined) return answer;
    }
    throw new Error(`no answer to ${text}`);
  }

  [Symbol.dispose](): void {
    this.socket.close();
  }
}

/** A host whose guest answers, with ports. */
async function startHost(udpIdleMs?: number) {
  const host = await FakeHost.start();
  const ports = new PublishedPorts(udpIdleMs);
  const activity = new Activity({ active: () => {}, busy: () => {}, idle: () => {} });
  const streams = new NetworkStreams(host.link, activity);
  host.network = {
    receive: (frame) => streams.receive(frame),
    control: (request) => ports.control(request),
  };
  ports.serve(streams);
  const publish = (guestPort: number, bind = LOOPBACK) =>
    ports.add({ protocol: "udp", bind, hostPort: 0, guestPort });
  return {
    host,
    ports,
    activity,
    publish,
    async [Symbol.asyncDispose]() {
      ports.close();
      await host[Symbol.asyncDispose]();
    },
  };
}

test(
  "PublishedPorts brings each client of a UDP port its own answers",
  async () => {
    using server = (await Endpoint.open()).answering((text) => `heard ${text}`);
    await using started = await startHost();
    const { hostPort } = await started.publish(server.port);
    const clients = await Promise.all(Array.from({ length: 8 }, () => Endpoint.open()));
    const before = started.activity.sequence;
    const answers = await Promise.all(
      clients.map((client, index) => client.ask(`client ${index}`, hostPort)),
    );
    assert.deepEqual(
      answers,
      clients.map((_, index) => `heard client ${index}`),
    );
    for (const [index, client] of clients.entries()) {
      assert.ok(client.texts.every((text) => text === `heard client ${index}`));
      assert.ok(
        client.senders.every(({ port }) => port === hostPort),
        "answers come from the published port",
      );
      client[Symbol.dispose]();
    }
    assert.ok(started.activity.sequence > before, "datagrams count as activity");
    assert.deepEqual(started.host.logged, []);
  },
  options,
);

test(
  "PublishedPorts serves UDP at an IPv6 address",
  async () => {
    using server = (await Endpoint.open()).answering((text) => `heard ${text}`);
    await using started = await startHost();
    const { hostPort } = await started.publish(server.port, "::1");
    using client = await Endpoint.open("::1");
    assert.equal(await client.ask("six", hostPort, "::1"), "heard six");
  },
  options,
);

test(
  "PublishedPorts keeps a bounded number of UDP flows: the one that was silent longest goes",
  async () => {
    using server = (await Endpoint.open()).answering((text) => text);
    await using started = await startHost();
    const { hostPort } = await started.publish(server.port);
    using first = await Endpoint.open();
    await first.ask("first", hostPort);
    const flowOf = () => server.senders.at(-1)?.port;
    const firstFlow = flowOf();
    const others = await Promise.all(Array.from({ length: UDP_FLOWS_MAX }, () => Endpoint.open()));
    for (const [index, client] of others.entries()) await client.ask(`other ${index}`, hostPort);
    const lastFlow = flowOf();
    const last = others.at(-1);
    await last?.ask("again", hostPort);
    assert.equal(flowOf(), lastFlow, "a flow that is in use goes on");
    await first.ask("first again", hostPort);
    assert.notEqual(flowOf(), firstFlow, "it had made room");
    for (const client of others) client[Symbol.dispose]();
  },
  options,
);

test(
  "PublishedPorts ends a UDP flow that is silent",
  async () => {
    using server = (await Endpoint.open()).answering((text) => text);
    await using started = await startHost(40);
    const { hostPort } = await started.publish(server.port);
    using client = await Endpoint.open();
    await client.ask("one", hostPort);
    const flow = server.senders.at(-1)?.port;
    await eventually(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      await client.ask("two", hostPort);
      assert.notEqual(server.senders.at(-1)?.port, flow);
    });
  },
  options,
);

test(
  "AgentClient.changePorts() adds and removes a UDP port beside the TCP port of the same number",
  async () => {
    using server = (await Endpoint.open()).answering((text) => text);
    await using started = await startHost();
    const client = await started.host.connect();
    const { add, list, remove } = PortAction;
    const { tcp, udp } = PortProtocol;
    const wanted = { bind: LOOPBACK, guestPort: server.port };
    const added = await client.changePorts({ ...wanted, action: add, protocol: udp, hostPort: 0 });
    const hostPort = Number(added.ports[0]?.split(" ")[1]);
    const beside = await client.changePorts({ ...wanted, action: add, protocol: tcp, hostPort });
    assert.deepEqual([added.failure, beside.failure], [PortFailure.none, PortFailure.none]);
    const again = await client.changePorts({ ...wanted, action: add, protocol: udp, hostPort });
    assert.equal(again.failure, PortFailure.inUse);
    const listed = await client.changePorts({ ...wanted, action: list, protocol: tcp, hostPort: 0 });
    assert.deepEqual(listed.ports, [...added.ports, ...beside.ports]);

    using asker = await Endpoint.open();
    assert.equal(await asker.ask("hello", hostPort), "hello");
    const gone = await client.changePorts({ ...wanted, action: remove, protocol: udp, hostPort });
    assert.equal(gone.failure, PortFailure.none);
    assert.deepEqual(
      started.ports.list().map(({ protocol }) => protocol),
      ["tcp"],
    );
    const free = createSocket("udp4").bind(hostPort, LOOPBACK);
    await once(free, "listening");
    free.close();
  },
  options,
);

test("PublishedPorts.add() refuses a UDP port that is taken, and an address that is not the host's", async () => {
  using taken = await Endpoint.open();
  const ports = new PublishedPorts();
  const port = { protocol: "udp", bind: LOOPBACK, hostPort: taken.port, guestPort: 80 } as const;
  await assert.rejects(ports.open([{ ...port, hostPort: 0 }, port]), (error) => {
    assert.ok(error instanceof PortInUseError);
    assert.deepEqual([error.protocol, error.bind, error.hostPort], ["udp", LOOPBACK, taken.port]);
    return true;
  });
  assert.deepEqual(ports.list(), []);
  const other = new PublishedPorts();
  await assert.rejects(other.add({ ...port, bind: "192.0.2.77", hostPort: 0 }), NetworkError); // TEST-NET-1, RFC 5737
  other.close();
});

test("UdpSession.send() drops datagrams while too much is on its way to the guest", () => {
  const sent: Uint8Array[] = [];
  const sink = { bufferedBytes: 0, send: (frame: Uint8Array) => void sent.push(frame) };
  const session = new UdpSession(1, sink);
  session.begin(53);
  session.send(new Uint8Array(10));
  sink.bufferedBytes = UDP_BUFFERED_BYTES_MAX + 1;
  session.send(new Uint8Array(10));
  assert.equal(sent.length, 2);
  sink.bufferedBytes = 0;
  session.send(new Uint8Array(10));
  session.close();
  session.send(new Uint8Array(10));
  assert.equal(sent.length, 4, "udpOpen, two datagrams, close");
});

test("Answers.send() drops what is for a client without a port, as whoever forges its datagrams has none", async () => {
  using client = await Endpoint.open();
  using server = await Endpoint.open();
  const answers = new Answers(server.socket);
  answers.send(new TextEncoder().encode("nobody"), 0, LOOPBACK); // what throws here would end the sandbox
  answers.send(new TextEncoder().encode("client"), client.port, LOOPBACK);
  await eventually(() => assert.deepEqual(client.texts, ["client"]));
});
