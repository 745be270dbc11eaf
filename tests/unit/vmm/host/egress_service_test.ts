/** The Worker that carries a guest's network, with the agent as an ordinary process in a network namespace. @module */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import type { AgentClient } from "../../../../src/agent/client.ts";
import type { EgressConfig } from "../../../../src/egress/config.ts";
import { GUEST_NETWORK } from "../../../../src/egress/guest_network.ts";
import { policyFromLists } from "../../../../src/egress/policy/parse_rule.ts";
import { EgressService } from "../../../../src/vmm/host/egress_service.ts";
import { guestNetworkProblem as missing, runInGuest } from "../../../support/egress/guest_network.ts";
import { test } from "../../../support/harness.ts";
import { FakeHost } from "../../../support/host/in_process_host.ts";
import { eventually } from "../../../support/processes.ts";

const options = { missing };

function configOf(allow: readonly string[]): EgressConfig {
  return {
    policy: policyFromLists({ allow }, "network"),
    dns: { nameservers: [], rebindProtection: true, queryTimeoutMs: 5_000 },
    secrets: [],
    secretViolation: "block-and-log",
    maxConnections: 256,
    rateLimiter: {},
  };
}

/** A server of this machine that sends back what it is sent. */
class EchoServer implements AsyncDisposable {
  readonly port: number;
  readonly #server: ReturnType<typeof createServer>;

  static async start(): Promise<EchoServer> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => {}); // some of these tests reset connections
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return new EchoServer(server);
  }

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
  }
}

/** A guest with a service, and what the service wrote down. */
async function serve(host: FakeHost, allow: readonly string[]) {
  const flows: object[] = [];
  const reasons: string[] = [];
  const config = configOf(allow);
  const service = new EgressService({
    socketPath: host.path,
    config,
    onTerminate: (reason) => reasons.push(reason),
  });
  host.egress = service;
  host.isNamespaced = true;
  await host.bootGuest();
  const log = { flow: (record: object) => void flows.push(record), flowsLost: () => {} };
  await service.open(log, host.link);
  return { service, flows, reasons, client: await host.connect() };
}

async function python(client: AgentClient, program: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout } = await runInGuest(client, ["python3", "-c", program, ...args]);
  assert.equal(code, 0, stdout);
  return stdout.trimEnd();
}

const ECHO = `
import errno, socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2]))) as s:
        s.sendall(b"x" * 1000); s.shutdown(socket.SHUT_WR)
        print(len(s.makefile("rb").read()))
except OSError as error:
    print(errno.errorcode[error.errno])
`;

test(
  "EgressService carries what its rules allow, counts it and writes it down",
  async () => {
    await using server = await EchoServer.start();
    await using host = await FakeHost.listen();
    const { service, flows, client } = await serve(host, [`host.microsandbox.internal:${server.port}`]);
    using _ = service;
    const to = (port: number) => python(client, ECHO, GUEST_NETWORK.ipv4.host, String(port));
    assert.equal(await to(server.port), "1000");
    assert.equal(await to(1), "ECONNREFUSED");
    assert.deepEqual(service.traffic, { rxBytes: 1000, txBytes: 1000 });
    // The agent ends what carries the network with its programs; all of it is in the log then.
    const settled = service.settled();
    host.link.send(new Uint8Array(0));
    await host.link.shutdown(0, 20_000);
    await settled;
    const kinds = flows.map((flow) => JSON.parse(JSON.stringify(flow)));
    assert.ok(kinds.every(({ kind }) => kind === "flow"));
    assert.deepEqual(
      kinds
        .filter(({ endedAs }) => endedAs !== undefined)
        .map(({ destination, decision, bytesIn, bytesOut }) => [
          destination.port,
          decision,
          bytesIn,
          bytesOut,
        ]),
      [
        [server.port, "allowed", 1000, 1000],
        [1, "denied", 0, 0],
      ],
    );
  },
  options,
);

test(
  "EgressService puts other rules into force, and says why it cannot",
  async () => {
    await using server = await EchoServer.start();
    await using host = await FakeHost.listen();
    const { service, client } = await serve(host, [`host.microsandbox.internal:${server.port}`]);
    using _ = service;
    const open = python(
      client,
      `
import errno, socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])))
s.sendall(b"x")
s.recv(1)
open("/dev/shm/egress-open-" + sys.argv[3], "w")
try:
    print(s.recv(1))
except OSError as error:
    print(errno.errorcode[error.errno])
`,
      GUEST_NETWORK.ipv4.host,
      String(server.port),
      String(process.pid),
    );
    const flag = `/dev/shm/egress-open-${process.pid}`;
    await runInGuest(client, ["sh", "-c", `until rm ${flag} 2>/dev/null; do :; done`]);
    await client.updateNetwork({ policy: policyFromLists({ allow: ["203.0.114.1"] }, "network") });
    assert.equal(await open, "ECONNRESET");
    assert.equal(await python(client, ECHO, GUEST_NETWORK.ipv4.host, String(server.port)), "ECONNREFUSED");
    await assert.rejects(client.updateNetwork({ policy: "none" }), { code: "network" });
    // More than a frame holds.
    const allow = Array.from({ length: 5_000 }, (_, i) => `name-${i}.files.example:443`);
    await client.updateNetwork({ policy: policyFromLists({ allow }, "network") });
  },
  options,
);

test(
  "EgressService gives the guest its network again when the guest has killed what carries it",
  async () => {
    await using server = await EchoServer.start();
    await using host = await FakeHost.listen();
    const { service, client } = await serve(host, [`host.microsandbox.internal:${server.port}`]);
    using _ = service;
    const device = async () => {
      const { stdout } = await runInGuest(client, ["sh", "-c", "ip -o link show eth0 2>&1 | cut -d: -f1"]);
      return stdout;
    };
    const first = await device();
    await runInGuest(client, ["sh", "-c", "pkill -KILL -u nobody -P $PPID"]);
    // The old device may still be there for a moment, and then none.
    await eventually(async () => assert.notEqual(await device(), first));
    const echo = () => python(client, ECHO, GUEST_NETWORK.ipv4.host, String(server.port));
    await eventually(async () => assert.equal(await echo(), "1000"));
  },
  options,
);

test(
  "EgressService says why there is no network, and a relay without one says so",
  async () => {
    await using host = await FakeHost.listen();
    const service = new EgressService({
      socketPath: `${host.path}.none`,
      config: configOf([]),
      onTerminate: () => {},
    });
    using _ = service;
    const log = { flow: () => {}, flowsLost: () => {} };
    await assert.rejects(service.open(log, { setVariables: () => {} }), /relay\.sock\.none/);
    await host.bootGuest();
    const client = await host.connect();
    await assert.rejects(client.updateNetwork({}), { code: "network", message: /no network/ });
  },
  options,
);
