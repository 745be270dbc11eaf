import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import type { Answer } from "dns-packet";
import type { DnsConfig } from "../../../../src/egress/config.ts";
import { configOf, send, startCore } from "../../../support/egress/core.ts";
import {
  a,
  aaaa,
  ask,
  cname,
  queryFor,
  readReply,
  startNameServer,
  zoneOf,
} from "../../../support/egress/name_server.ts";
import { test } from "../../../support/harness.ts";

const PUBLIC = "93.184.216.34";
const OPEN = ["public"];

function dnsAt(...ports: readonly number[]): { dns: DnsConfig } {
  return {
    dns: {
      nameservers: ports.map((port) => `127.0.0.1:${port}`),
      rebindProtection: true,
      queryTimeoutMs: 3_000,
    },
  };
}

const zone = zoneOf([
  a("a.example", PUBLIC),
  aaaa("a.example", "2606:4700::1"),
  cname("www.example", "cdn.example"),
  a("cdn.example", "93.184.216.35", 20),
  a("inside.example", "10.1.2.3"),
  a("mixed.example", PUBLIC),
  a("mixed.example", "192.168.1.1"),
  a("loop.example", "127.0.0.1"),
  a("meta.example", "169.254.169.254"),
  cname("sly.example", "denied.example"),
  a("denied.example", "93.184.216.36"),
  { name: "a.example", type: "MX", ttl: 60, data: { preference: 10, exchange: "mail.example" } },
  { name: "a.example", type: "TXT", ttl: 60, data: ["v=spf1 -all"] },
  {
    name: "_svc._tcp.a.example",
    type: "SRV",
    ttl: 60,
    data: { priority: 1, weight: 2, port: 3, target: "a.example" },
  },
]);

test("Egress answers DNS to any address through the resolvers that were given", async () => {
  await using server = await startNameServer(zone);
  await using core = startCore(configOf(OPEN, dnsAt(server.port)));
  for (const asked of ["203.0.113.1", "8.8.8.8", "10.0.0.1", "2001:4860:4860::8888"]) {
    const reply = await ask(core.link, "a.example", "A", asked);
    assert.deepEqual([reply.rcode, reply.addresses], ["NOERROR", [PUBLIC]]);
  }
  assert.deepEqual(core.dialled, []);
  assert.equal(server.asked.length, 4);
});

test("Egress passes the types that programs need, and no others", async () => {
  await using server = await startNameServer(zone);
  await using core = startCore(configOf(OPEN, dnsAt(server.port)));
  const dataOf = async (name: string, type: string) => {
    const { packet } = await ask(core.link, name, type);
    return packet.answers?.map((record) => ("data" in record ? record.data : undefined));
  };
  assert.deepEqual(await dataOf("a.example", "MX"), [{ preference: 10, exchange: "mail.example" }]);
  assert.deepEqual(await dataOf("_svc._tcp.a.example", "SRV"), [
    { priority: 1, weight: 2, port: 3, target: "a.example" },
  ]);
  assert.equal(String((await dataOf("a.example", "TXT"))?.[0]), "v=spf1 -all");
  const before = server.asked.length;
  assert.equal((await ask(core.link, "a.example", "ANY")).rcode, "REFUSED");
  for (const type of ["AXFR", "NULL", "DNSKEY", "UNKNOWN_4711"])
    assert.equal((await ask(core.link, "a.example", type)).rcode, "NOTIMP", type);
  // Keys that encrypt the name in TLS, and addresses beside the pinned ones.
  for (const type of ["UNKNOWN_65", "UNKNOWN_64"]) {
    const { rcode, packet } = await ask(core.link, "a.example", type);
    assert.deepEqual([rcode, packet.answers], ["NOERROR", []]);
  }
  assert.equal(server.asked.length, before);
});

test("Egress answers a name that no rule allows with NXDOMAIN, asks no resolver, and logs it", async () => {
  await using server = await startNameServer(zone);
  await using core = startCore(configOf(["a.example"], dnsAt(server.port)));
  assert.equal((await ask(core.link, "secret-data.attacker.example")).rcode, "NXDOMAIN");
  assert.equal((await ask(core.link, "a.example")).rcode, "NOERROR");
  assert.deepEqual(server.asked, ["UDP a.example A"]);
  await core.close();
  const [entry] = core.entries;
  assert.deepEqual(
    [entry?.protocol, entry?.name, entry?.decision, entry?.reason, entry?.destination],
    ["dns", "secret-data.attacker.example", "denied", "default", { address: "203.0.113.1", port: 53 }],
  );
});

test("Egress lets a rule about a name hold for the addresses that this sandbox resolved, and no others", async () => {
  await using server = await startNameServer(zone);
  await using core = startCore(configOf(["www.example"], dnsAt(server.port)));
  assert.equal(await core.link.connect("93.184.216.35", 443), "refused");
  assert.deepEqual(core.dialled, []);
  await ask(core.link, "WWW.example");
  assert.equal(await core.link.connect("93.184.216.35", 443), "refused"); // by the closed port
  assert.deepEqual(core.dialled, [{ address: "93.184.216.35", port: 443 }]);
  assert.equal(await core.link.connect(PUBLIC, 443), "refused");
  assert.equal(core.dialled.length, 1);
  await core.close();
  assert.deepEqual(
    core.entries.map(({ name, decision }) => [name, decision]),
    [
      [undefined, "denied"],
      ["www.example", "allowed"],
      [undefined, "denied"],
    ],
  );
});

test("Egress writes the question as the guest did", async () => {
  await using server = await startNameServer(zone);
  await using core = startCore(configOf(OPEN, dnsAt(server.port)));
  const { packet } = await ask(core.link, "A.eXaMpLe");
  assert.equal(packet.questions?.[0]?.name, "A.eXaMpLe");
  assert.equal(server.asked[0], "UDP a.example A");
});

test("Egress refuses private addresses as answers for public names, unless a rule names them", async () => {
  await using server = await startNameServer(zone);
  await using core = startCore(configOf(OPEN, dnsAt(server.port)));
  for (const name of ["inside.example", "loop.example", "meta.example"])
    assert.deepEqual([(await ask(core.link, name)).rcode, name], ["NXDOMAIN", name]);
  assert.deepEqual((await ask(core.link, "mixed.example")).addresses, [PUBLIC]);
  core.egress.update(configOf([...OPEN, "10.1.0.0/16:5432"], dnsAt(server.port)));
  assert.deepEqual((await ask(core.link, "inside.example")).addresses, ["10.1.2.3"]);
  const unprotected = { dns: { ...dnsAt(server.port).dns, rebindProtection: false } };
  core.egress.update(configOf(["inside.example", "loop.example", "meta.example"], unprotected));
  assert.deepEqual((await ask(core.link, "inside.example")).addresses, ["10.1.2.3"]);
  for (const name of ["loop.example", "meta.example"])
    assert.equal((await ask(core.link, name)).rcode, "NXDOMAIN", name);
  await core.close();
  assert.equal(core.entries.filter(({ reason }) => reason === "rebinding").length, 5);
});

test("Egress refuses a name that is an alias for one which a rule denies", async () => {
  await using server = await startNameServer(zone);
  const config = configOf(OPEN, dnsAt(server.port));
  const denied = { kind: "domain", domain: "denied.example" } as const;
  const rule = {
    direction: "egress",
    destination: denied,
    protocols: [],
    ports: [],
    action: "deny",
  } as const;
  const policy = { ...config.policy, rules: [rule, ...config.policy.rules] };
  await using core = startCore({ ...config, policy });
  assert.equal((await ask(core.link, "sly.example")).rcode, "NXDOMAIN");
  assert.deepEqual((await ask(core.link, "www.example")).addresses, ["93.184.216.35"]);
});

test("Egress knows the host's name where a rule opens a port of the host", async () => {
  const name = "host.microsandbox.internal";
  await using core = startCore(configOf(["host.microsandbox.internal:8080"]), { isDirect: true });
  assert.deepEqual((await ask(core.link, name)).addresses, ["203.0.113.254"]);
  assert.deepEqual((await ask(core.link, name, "AAAA")).addresses, ["fd5a:9c1e:7b42::fe"]);
  assert.deepEqual((await ask(core.link, name, "MX")).packet.answers, []);
  core.egress.update(configOf(["a.example"]));
  assert.equal((await ask(core.link, name)).rcode, "NXDOMAIN");
});

test("Egress does not tell names of private addresses", async () => {
  await using server = await startNameServer(() => ({
    answers: [{ name: "1.1.1.1.in-addr.arpa", type: "PTR", ttl: 60, data: "one.example" }],
  }));
  await using core = startCore(configOf(OPEN, dnsAt(server.port)));
  const private_ = ["1.2.168.192.in-addr.arpa", "1.0.0.127.in-addr.arpa", "254.113.0.203.in-addr.arpa"];
  const loopback6 = `1.${"0.".repeat(31)}ip6.arpa`;
  for (const name of [...private_, loopback6])
    assert.equal((await ask(core.link, name, "PTR")).rcode, "NXDOMAIN", name);
  assert.deepEqual(server.asked, []);
  assert.equal((await ask(core.link, "1.1.1.1.in-addr.arpa", "PTR")).packet.answers?.length, 1);
});

test("Egress asks the next resolver when one fails or is silent", async () => {
  await using failing = await startNameServer(() => ({ rcode: 2 }));
  await using silent = await startNameServer(() => undefined);
  await using good = await startNameServer(zone);
  await using core = startCore(configOf(OPEN, dnsAt(failing.port, silent.port, good.port)));
  assert.deepEqual((await ask(core.link, "a.example")).addresses, [PUBLIC]);
  assert.deepEqual([failing.asked.length, silent.asked.length, good.asked.length], [1, 1, 1]);
});

test("Egress answers SERVFAIL when no resolver answers in time", async () => {
  await using silent = await startNameServer(() => undefined);
  const { dns } = dnsAt(silent.port);
  await using core = startCore(configOf(OPEN, { dns: { ...dns, queryTimeoutMs: 300 } }));
  assert.equal((await ask(core.link, "a.example")).rcode, "SERVFAIL");
});

test("Egress asks over TCP what does not fit, and cuts for the guest what does not fit there", async () => {
  const many = Array.from({ length: 60 }, (_, index): Answer => a("many.example", `93.184.1.${index + 1}`));
  await using server = await startNameServer(() => ({ answers: many, isTruncated: true }));
  await using core = startCore(configOf(OPEN, dnsAt(server.port)));
  const cut = await ask(core.link, "many.example");
  assert.deepEqual([cut.isTruncated, cut.addresses], [true, []]);
  const guest = await core.link.mustConnect("203.0.113.1", 53);
  const { id, message } = queryFor("many.example", "A");
  await send(guest, Buffer.concat([Buffer.of(message.length >> 8, message.length & 255), message]));
  const reader = guest.readable.getReader();
  let received: Buffer = Buffer.alloc(0);
  while (received.length < 2 || received.length < received.readUInt16BE(0) + 2)
    received = Buffer.concat([received, (await reader.read()).value ?? new Uint8Array(0)]);
  assert.equal(readReply(received.subarray(2), id).addresses.length, 60);
  assert.deepEqual(server.asked, [
    "UDP many.example A",
    "TCP many.example A",
    "UDP many.example A",
    "TCP many.example A",
  ]);
});

test("Egress does not believe an answer with another number, or to another question", async () => {
  const forger = createSocket("udp4");
  await new Promise<void>((resolve) => forger.bind(0, "127.0.0.1", resolve));
  const { decode, encode } = await import("dns-packet");
  forger.on("message", (message, { port, address }) => {
    const query = decode(message);
    const reply = (id: number, name: string, data: string): Buffer =>
      encode({
        type: "response",
        id,
        flags: 0x0180,
        questions: [{ name, type: "A", class: "IN" }],
        answers: [a(name, data)],
      });
    forger.send(reply(((query.id ?? 0) + 1) & 0xffff, "a.example", "6.6.6.6"), port, address);
    forger.send(reply(query.id ?? 0, "b.example", "6.6.6.6"), port, address);
    forger.send(Buffer.from("nonsense"), port, address);
    forger.send(reply(query.id ?? 0, "a.example", PUBLIC), port, address);
  });
  await using core = startCore(configOf(OPEN, dnsAt(forger.address().port)));
  assert.deepEqual((await ask(core.link, "a.example")).addresses, [PUBLIC]);
  forger.close();
});

test("Egress passes only records that belong to the question", async () => {
  await using server = await startNameServer(() => ({
    answers: [
      a("other.example", "6.6.6.6"),
      a("a.example", PUBLIC),
      { name: "a.example", type: "TXT", ttl: 1, data: "x" },
    ],
    authorities: [a("other.example", "6.6.6.6")],
  }));
  await using core = startCore(configOf(OPEN, dnsAt(server.port)));
  const { packet } = await ask(core.link, "a.example");
  assert.deepEqual(
    packet.answers?.map(({ name, type }) => [name, type]),
    [["a.example", "A"]],
  );
  assert.deepEqual(packet.authorities, []);
});
