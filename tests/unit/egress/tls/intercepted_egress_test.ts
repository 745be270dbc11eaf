/** The interceptor inside the core: rules, resolved names, interception and secrets together, from a guest's stream on. */
import assert from "node:assert/strict";
import { connect, type TLSSocket } from "node:tls";
import type { EgressConfig } from "../../../../src/egress/config.ts";
import { GuestChannel } from "../../../../src/egress/http/guest_channel.ts";
import { duplexOver } from "../../../../src/egress/tls/channel_duplex.ts";
import { HttpInterceptor } from "../../../../src/egress/tls/interceptor.ts";
import { clientHelloFor } from "../../../support/egress/client_hello.ts";
import { configOf, send, startCore, type TestCore } from "../../../support/egress/core.ts";
import type { GuestSocket } from "../../../support/egress/fake_link.ts";
import { a, ask, type NameServer, startNameServer, zoneOf } from "../../../support/egress/name_server.ts";
import {
  echoRequest,
  httpsOrigin,
  type Origin,
  sandboxAuthority,
  tcpOrigin,
  tlsConfig,
} from "../../../support/egress/origin.ts";
import { received } from "../../../support/egress/raw_client.ts";
import { secret } from "../../../support/egress/secrets.ts";
import { test } from "../../../support/harness.ts";

const API = "93.184.216.34";
const zone = zoneOf([a("api.example", API), a("evil.example", API)]);

/** A core that intercepts, with a rule for `api.example` and the server behind its address. */
async function start(dns: NameServer, origin: Origin, more: Partial<EgressConfig> = {}): Promise<TestCore> {
  const config = configOf(["api.example"], {
    dns: { nameservers: [`127.0.0.1:${dns.port}`], rebindProtection: true, queryTimeoutMs: 3000 },
    tls: tlsConfig(),
    secrets: [secret("KEY")],
    ...more,
  });
  const core = startCore(config, { interceptor: new HttpInterceptor({ config }) });
  core.routes.set(API, origin.port);
  await ask(core.link, "api.example", "A");
  return core;
}

/** TLS of a program in the guest. */
function secured(guest: GuestSocket, servername: string): TLSSocket {
  const { readable, writable } = guest;
  const reset = () => guest.reset();
  const channel = new GuestChannel({ readable, writable, reset, closed: new Promise(() => {}) });
  const socket = connect({ socket: duplexOver(channel), servername, ca: sandboxAuthority.certificate });
  socket.on("error", () => {}); // the tests look at what was received
  return socket;
}

const request = (host: string, key = "$MSB_KEY") =>
  `GET /path HTTP/1.1\r\nHost: ${host}\r\nAuthorization: ${key}\r\nConnection: close\r\n\r\n`;

async function answerTo(core: TestCore, servername: string, text: string): Promise<string> {
  const socket = secured(await core.link.mustConnect(API, 443), servername);
  socket.write(text);
  const answer = await received(socket, 100_000).catch(() => "");
  socket.destroy();
  return answer;
}

test("a request of a guest reaches its server with the secret, and the flow log has its name", async () => {
  const seen: (string | undefined)[] = [];
  await using origin = await httpsOrigin((message, response) => {
    seen.push(message.headers.authorization);
    echoRequest(message, response);
  });
  await using dns = await startNameServer(zone);
  await using core = await start(dns, origin);
  const answer = await answerTo(core, "api.example", request("api.example"));
  assert.match(answer, /^HTTP\/1\.1 200 OK/);
  assert.deepEqual(seen, ["value-of-KEY"]);
  await core.idle();
  await core.close();
  const last = core.entries.findLast(({ protocol }) => protocol === "tcp");
  assert.deepEqual([last?.name, last?.endedAs], ["api.example", "closed"]);
  assert.doesNotMatch(JSON.stringify(core.entries), /value-of/);
});

test("names that the rules do not allow are refused, by SNI and by Host, at an address that is allowed", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using dns = await startNameServer(zone);
  await using core = await start(dns, origin);
  assert.equal(await answerTo(core, "evil.example", request("evil.example")), "");
  assert.match(await answerTo(core, "api.example", request("evil.example", "none")), /^HTTP\/1\.1 421/);
  await core.idle();
  await core.close();
  const denied = core.entries.filter(({ protocol, decision }) => protocol === "tcp" && decision === "denied");
  assert.deepEqual(
    denied.map(({ reason, name }) => [reason, name]),
    [
      ["blocked", "evil.example"],
      ["blocked", "api.example"],
    ],
  );
});

test("connections end when a rule no longer allows them", async () => {
  await using origin = await httpsOrigin(echoRequest);
  await using dns = await startNameServer(zone);
  await using core = await start(dns, origin);
  const socket = secured(await core.link.mustConnect(API, 443), "api.example");
  socket.write(request("api.example").replace("Connection: close\r\n", ""));
  assert.match(await received(socket, 100), /^HTTP\/1\.1 200 OK/);
  core.egress.update(configOf([], { tls: tlsConfig() }));
  await core.idle();
  socket.destroy();
});

test("another protocol passes on a port that is read, whichever side speaks first; a denied name does not pass behind it", async () => {
  const sent: Buffer[] = [];
  let greeting = "";
  await using origin = await tcpOrigin((socket) => {
    socket.write(greeting);
    socket.on("data", (data: Buffer) => {
      sent.push(data);
      socket.write(`got ${data.length}\n`);
    });
  });
  await using dns = await startNameServer(zone);
  await using core = await start(dns, origin, { secrets: [] });
  for (const first of ["", "220 ready\n"]) {
    greeting = first;
    const guest = await core.link.mustConnect(API, 443);
    const reader = guest.readable.getReader();
    if (first !== "") assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), first);
    await send(guest, "EHLO \0 there\r\n");
    assert.equal(Buffer.from((await reader.read()).value ?? []).toString(), "got 14\n");
    guest.reset();
  }
  sent.length = 0;
  for (const denied of [
    clientHelloFor("evil.example"),
    "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  ]) {
    const guest = await core.link.mustConnect(API, 443);
    const reader = guest.readable.getReader();
    await reader.read(); // the server has spoken
    await send(guest, denied);
    await assert.rejects(reader.read());
  }
  assert.deepEqual(sent, []);
});
