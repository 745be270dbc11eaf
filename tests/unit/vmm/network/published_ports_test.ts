/** Published ports: real listeners, a native agent, and a server of the test's own as the guest's. @module */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { NetworkError, PortInUseError } from "../../../../mod.ts";
import { PortAction, PortFailure, PortProtocol } from "../../../../src/agent/port_codes.ts";
import { PUBLISHED_PORTS_MAX } from "../../../../src/network/published_port.ts";
import { Activity } from "../../../../src/vmm/host/activity.ts";
import { NetworkStreams } from "../../../../src/vmm/network/guest_streams.ts";
import { listenError } from "../../../../src/vmm/network/port_listener.ts";
import { PublishedPorts } from "../../../../src/vmm/network/published_ports.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";
import { seededRandom } from "../../../support/random.ts";

const options = { skip: nativeAgentProblem };
const LOOPBACK = "127.0.0.1";
const TCP = { protocol: "tcp" } as const;
const MiB = 1024 * 1024;

/** A guest's server. */
async function serve(accept: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {}); // some tests break connections off
    accept(socket);
  });
  server.listen(0, LOOPBACK);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A host whose guest answers, with ports. */
async function startHost(): Promise<{ host: FakeHost; ports: PublishedPorts } & AsyncDisposable> {
  const host = await FakeHost.start();
  const ports = new PublishedPorts();
  const streams = new NetworkStreams(
    host.link,
    new Activity({ active: () => {}, busy: () => {}, idle: () => {} }),
  );
  host.network = {
    receive: (frame) => streams.receive(frame),
    control: (request) => ports.control(request),
  };
  ports.serve(streams);
  return {
    host,
    ports,
    async [Symbol.asyncDispose]() {
      ports.close();
      await host[Symbol.asyncDispose]();
    },
  };
}

function dial(port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: LOOPBACK, allowHalfOpen: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}

/** Resolves when the socket is closed, in whatever way. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test(
  "PublishedPorts carries a connection both ways, each direction with its own end",
  async () => {
    const content = seededRandom("a request").bytes(2 * MiB);
    await using server = await serve((socket) => {
      const chunks: Uint8Array[] = [];
      socket.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      socket.on("end", () => socket.end(Buffer.concat(chunks).reverse()));
    });
    await using started = await startHost();
    const { hostPort } = await started.ports.add({
      protocol: "tcp",
      bind: LOOPBACK,
      hostPort: 0,
      guestPort: server.port,
    });
    assert.ok(hostPort > 0);
    const socket = await dial(hostPort);
    socket.end(content);
    assert.ok((await readAll(socket)).equals(Buffer.from(content).reverse()));
    assert.deepEqual(started.host.logged, []);
  },
  options,
);

test(
  "PublishedPorts holds connections that come before the guest answers",
  async () => {
    await using server = await serve((socket) => socket.once("data", () => socket.end("late")));
    const ports = new PublishedPorts();
    await ports.open([{ protocol: "tcp", bind: LOOPBACK, hostPort: 0, guestPort: server.port }]);
    const socket = await dial(ports.list()[0]!.hostPort);
    socket.end("early");
    await using host = await FakeHost.start();
    const streams = new NetworkStreams(
      host.link,
      new Activity({ active: () => {}, busy: () => {}, idle: () => {} }),
    );
    host.network = {
      receive: (frame) => streams.receive(frame),
      control: (request) => ports.control(request),
    };
    ports.serve(streams);
    assert.equal(String(await readAll(socket)), "late");
    ports.close();
  },
  options,
);

test(
  "PublishedPorts resets a connection for which nobody listens in the guest",
  async () => {
    const server = await serve(() => {});
    await server[Symbol.asyncDispose]();
    await using started = await startHost();
    const { hostPort } = await started.ports.add({
      protocol: "tcp",
      bind: LOOPBACK,
      hostPort: 0,
      guestPort: server.port,
    });
    const socket = await dial(hostPort);
    socket.resume();
    await closeOf(socket);
    assert.equal(socket.bytesRead, 0);
  },
  options,
);

test(
  "PublishedPorts passes on that either side has broken off",
  async () => {
    let accepted = Promise.withResolvers<Socket>();
    await using server = await serve((socket) => {
      socket.resume();
      accepted.resolve(socket);
    });
    await using started = await startHost();
    const { hostPort } = await started.ports.add({
      protocol: "tcp",
      bind: LOOPBACK,
      hostPort: 0,
      guestPort: server.port,
    });
    for (const breaker of ["guest", "client"] as const) {
      accepted = Promise.withResolvers();
      const client = await dial(hostPort);
      client.resume();
      const guest = await accepted.promise;
      const [one, other] = breaker === "guest" ? [guest, client] : [client, guest];
      const closed = closeOf(other);
      one.resetAndDestroy();
      await closed;
    }
  },
  options,
);

test("PublishedPorts.open() takes a port that is in use as a failure, and leaves nothing open", async () => {
  await using taken = await serve(() => {});
  const ports = new PublishedPorts();
  const free = { ...TCP, bind: LOOPBACK, hostPort: 0, guestPort: 80 };
  await assert.rejects(ports.open([free, { ...free, hostPort: taken.port }]), (error) => {
    assert.ok(error instanceof PortInUseError);
    assert.deepEqual([error.code, error.bind, error.hostPort], ["portInUse", LOOPBACK, taken.port]);
    return true;
  });
  assert.deepEqual(ports.list(), []);
});

test("PublishedPorts.add() refuses an address that is not the host's, and one port more than the limit", async () => {
  const ports = new PublishedPorts();
  const port = { ...TCP, bind: LOOPBACK, hostPort: 0, guestPort: 80 };
  await assert.rejects(
    ports.add({ ...port, bind: "192.0.2.1" }), // TEST-NET-1, RFC 5737
    (error) => error instanceof NetworkError && /^bind has to be/.test(error.hint ?? ""),
  );
  for (let count = 0; count < PUBLISHED_PORTS_MAX; count++) await ports.add(port);
  await assert.rejects(ports.add(port), NetworkError);
  ports.close();
});

test("listenError() says what to do about a port that takes privileges", () => {
  const port = { ...TCP, bind: LOOPBACK, hostPort: 80, guestPort: 80 };
  const cause = Object.assign(new Error("listen EACCES"), { code: "EACCES" });
  assert.match(listenError(port, cause).hint ?? "", /CAP_NET_BIND_SERVICE/);
});

test("PublishedPorts.remove() stops listening and ends connections", async () => {
  const ports = new PublishedPorts();
  const added = await ports.add({ protocol: "tcp", bind: LOOPBACK, hostPort: 0, guestPort: 80 });
  const socket = await dial(added.hostPort);
  socket.resume();
  const closed = closeOf(socket);
  assert.equal(ports.remove(added), true);
  await closed;
  assert.equal(ports.remove(added), false);
  await assert.rejects(dial(added.hostPort));
});

test(
  "AgentClient.changePorts() lists, adds and removes, and says why not",
  async () => {
    await using taken = await serve(() => {});
    await using started = await startHost();
    const client = await started.host.connect();
    const { add, list, remove } = PortAction;
    const port = { protocol: PortProtocol.tcp, bind: LOOPBACK, hostPort: 0, guestPort: 80 };
    const added = await client.changePorts({ action: add, ...port });
    assert.equal(added.failure, PortFailure.none);
    assert.match(added.ports[0] ?? "", /^127\.0\.0\.1 \d+ 80 tcp$/);
    assert.deepEqual((await client.changePorts({ action: list, ...port })).ports, added.ports);
    const hostPort = Number(added.ports[0]?.split(" ")[1]);
    assert.equal((await client.changePorts({ ...port, action: remove, hostPort })).failure, PortFailure.none);
    const again = await client.changePorts({ ...port, action: remove, hostPort });
    assert.equal(again.failure, PortFailure.notPublished);
    const inUse = await client.changePorts({ ...port, action: add, hostPort: taken.port });
    assert.equal(inUse.failure, PortFailure.inUse);
  },
  options,
);
