/**
 * The core of the network with a real guest kernel and real programs, and with no VM: the agent in a network namespace, programs
 * there, servers of this machine reached by the host's name, another program's resolver.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { pollUntil } from "../../../src/base/wait.ts";
import { policyFromLists } from "../../../src/egress/policy/parse_rule.ts";
import { configOf, listen } from "../../support/egress/core.ts";
import { guestNetworkProblem } from "../../support/egress/guest_network.ts";
import { freePort, programsMissing, startGuest } from "../../support/egress/real_guest.ts";
import { test } from "../../support/harness.ts";

const HOST = "host.microsandbox.internal";
const RESOLVER = "@203.0.113.1";

/** dnsmasq with records of its own and no other resolver. */
async function startDnsmasq(): Promise<{ port: number } & AsyncDisposable> {
  const port = await freePort();
  const records = [
    "--address=/a.example/93.184.216.34",
    "--address=/inside.example/10.1.2.3",
    "--cname=www.zone.example,target.zone.example",
    "--host-record=target.zone.example,93.184.216.40",
    "--mx-host=a.example,mail.a.example,10",
    "--txt-record=a.example,v=spf1 -all",
    `--txt-record=long.example,${Array.from({ length: 12 }, (_, index) => `${index}${"x".repeat(200)}`).join(",")}`,
    "--srv-host=_db._tcp.a.example,a.example,5432,1,2",
  ];
  const options = [
    "--no-daemon",
    "--no-resolv",
    "--no-hosts",
    "--no-poll",
    "--local=/example/",
    "--conf-file=/dev/null",
  ];
  const bound = [`--port=${port}`, "--listen-address=127.0.0.1", "--bind-interfaces", "--user=root"];
  const child: ChildProcess = spawn("dnsmasq", [...options, ...bound, ...records], { stdio: "ignore" });
  const exit = new Promise((resolve) => child.once("exit", resolve));
  const answers = () =>
    spawnSync("dig", ["@127.0.0.1", "-p", String(port), "+time=1", "+tries=1", "a.example"]).status === 0;
  assert.ok(await pollUntil(answers, { everyMs: 50, timeoutMs: 10_000 }), "dnsmasq does not answer");
  return {
    port,
    async [Symbol.asyncDispose]() {
      child.kill();
      await exit;
    },
  };
}

test(
  "dig in a guest hears from the resolver of the host what dig hears on the host, and no more",
  async () => {
    await using dnsmasq = await startDnsmasq();
    const dns = { nameservers: [`127.0.0.1:${dnsmasq.port}`], rebindProtection: true, queryTimeoutMs: 3_000 };
    await using guest = await startGuest({
      ...configOf(undefined, { dns }),
      policy: policyFromLists({ allow: ["public", `${HOST}:1`] }, "network"),
    });
    const inGuest = async (...args: readonly string[]) =>
      (await guest.network.run("dig", ...args)).stdout.trim();
    const onHost = (...args: readonly string[]) =>
      String(spawnSync("dig", ["@127.0.0.1", "-p", String(dnsmasq.port), ...args]).stdout).trim();
    for (const question of [
      ["a.example", "A"],
      ["www.zone.example", "A"],
      ["a.example", "MX"],
      ["a.example", "TXT"],
      ["_db._tcp.a.example", "SRV"],
      ["long.example", "TXT"],
      ["long.example", "TXT", "+tcp"],
      ["long.example", "TXT", "+noedns"],
    ]) {
      const expected = onHost("+short", ...question);
      assert.notEqual(expected, "", question.join(" "));
      assert.equal(await inGuest(RESOLVER, "+short", ...question), expected, question.join(" "));
    }
    assert.match(await inGuest("@8.8.8.8", "+tcp", "a.example"), /status: NOERROR[\s\S]*93\.184\.216\.34/);
    assert.match(await inGuest(RESOLVER, "absent.example"), /status: NXDOMAIN/);
    assert.match(await inGuest(RESOLVER, "inside.example"), /status: NXDOMAIN/);
    assert.match(await inGuest(RESOLVER, "a.example", "HTTPS"), /status: NOERROR[\s\S]*ANSWER: 0/);
    assert.match(await inGuest(RESOLVER, "a.example", "ANY"), /status: REFUSED/);
    assert.match(await inGuest(RESOLVER, "a.example", "CH"), /status: REFUSED|status: NOTIMP/);
    assert.equal(await inGuest(RESOLVER, "+short", HOST), "203.0.113.254");
    assert.match(await inGuest(RESOLVER, "-x", "192.168.1.1"), /status: NXDOMAIN/);
    const edns = await inGuest(RESOLVER, "+bufsize=4096", "+nocookie", "a.example");
    assert.match(edns, /EDNS: version: 0, flags:; udp: 1232/);
    assert.equal(await inGuest(RESOLVER, "+short", "+noedns", "a.example"), "93.184.216.34");
  },
  { missing: programsMissing("dig", "dnsmasq") },
);

test(
  "programs in a guest reach the port of the host that is allowed, and learn the truth about others",
  async () => {
    const opened = new Set<number>();
    await using server = await listen((socket) => {
      opened.add(socket.remotePort ?? 0);
      const chunks: Buffer[] = [];
      socket.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        if (chunk.toString() === "ping") socket.write("pong");
      });
      socket.on("end", () => socket.end(`got ${Buffer.concat(chunks).length}`));
    });
    const closedPort = await freePort();
    const allow = [`${HOST}:${server.port}`, `${HOST}:${closedPort}`];
    await using guest = await startGuest({ ...configOf(), policy: policyFromLists({ allow }, "network") });
    const { network } = guest;
    const address = `("203.0.113.254", ${server.port})`;
    const halfClose = `
import socket
s = socket.create_connection(${address}, 10)
s.sendall(b"x" * 3000000)
s.shutdown(socket.SHUT_WR)
print(s.makefile().read())`;
    assert.equal(await network.python(halfClose), "got 3000000");
    const errno = (host: string, port: number) => `
import socket, errno
try:
    socket.create_connection(("${host}", ${port}), 10)
    print("connected")
except OSError as e:
    print(errno.errorcode.get(e.errno, e))`;
    assert.equal(await network.python(errno("203.0.113.254", closedPort)), "ECONNREFUSED"); // nothing listens
    assert.equal(await network.python(errno("203.0.113.254", server.port + 1)), "ECONNREFUSED"); // denied
    assert.equal(await network.python(errno("1.1.1.1", 443)), "ECONNREFUSED");
    assert.equal(await network.python(errno("169.254.169.254", 80)), "ECONNREFUSED");
    const short = `
import socket
for i in range(1000):
    s = socket.create_connection(${address}, 10)
    s.sendall(b"ping")
    assert s.recv(4) == b"pong"
    s.close()
print("done")`;
    assert.equal(await network.python(short), "done");
    const many = `
import socket
all = [socket.create_connection(${address}, 10) for i in range(200)]
for s in all: s.sendall(b"ping")
for s in all: assert s.recv(4) == b"pong"
print(len(all))`;
    assert.equal(await network.python(many), "200");
    assert.ok(
      await pollUntil(() => guest.egress.flows.tcp === 0, { everyMs: 10, timeoutMs: 10_000 }),
      "flows stay",
    );
  },
  { missing: guestNetworkProblem },
);

test(
  "Egress.update() resets what a program in a guest has open",
  async () => {
    const isOpen = Promise.withResolvers<void>();
    await using server = await listen((socket) => socket.once("data", () => isOpen.resolve()));
    const config = {
      ...configOf(),
      policy: policyFromLists({ allow: [`${HOST}:${server.port}`] }, "network"),
    };
    await using guest = await startGuest(config);
    const program = `
import socket
s = socket.create_connection(("203.0.113.254", ${server.port}), 10)
s.sendall(b"here")
try:
    print(s.recv(1))
except ConnectionResetError:
    print("reset")`;
    const ended = guest.network.python(program);
    await isOpen.promise;
    guest.egress.update({ ...config, policy: policyFromLists({ allow: ["10.0.0.0/8"] }, "network") });
    assert.equal(await ended, "reset");
  },
  { missing: guestNetworkProblem },
);

test(
  "datagrams and pings of a guest are answered, or refused as its kernel says it",
  async () => {
    const echo = createSocket("udp4");
    echo.on("message", (data, peer) => echo.send(data, peer.port, peer.address));
    await new Promise<void>((resolve) => echo.bind(0, "127.0.0.1", resolve));
    const { port } = echo.address();
    await using guest = await startGuest({
      ...configOf(),
      policy: policyFromLists({ allow: [`${HOST}:${port}`] }, "network"),
    });
    const program = (host: string, to: number) => `
import socket, errno
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.connect(("${host}", ${to}))
try:
    for size in (1, 1400, 9000, 60000):
        s.send(b"x" * size)
        assert len(s.recv(65535)) == size
    print("echoed")
except OSError as e:
    print(errno.errorcode.get(e.errno, e))`;
    assert.equal(await guest.network.python(program("203.0.113.254", port)), "echoed");
    assert.equal(await guest.network.python(program("1.1.1.1", 5000)), "ECONNREFUSED");
    const ping = await guest.network.run("ping", "-c", "2", "-i", "0.2", "-W", "5", "203.0.113.1");
    assert.equal(ping.code, 0, ping.stdout);
    const other = await guest.network.run("ping", "-c", "1", "-W", "5", "1.1.1.1");
    assert.match(other.stdout, /[Uu]nreachable|prohibited/);
    echo.close();
  },
  {
    missing:
      guestNetworkProblem ?? (spawnSync("ping", ["-V"]).error === undefined ? undefined : "needs ping"),
  },
);
