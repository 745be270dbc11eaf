/** Rules about names that come while connections are open, or are being opened: none of them escapes. @module */
import assert from "node:assert/strict";
import { pollUntil } from "../../../src/base/wait.ts";
import type { EgressConfig } from "../../../src/egress/config.ts";
import { destinations, policies, rules } from "../../../src/egress/policy/factories.ts";
import { clientHelloFor } from "../../support/egress/client_hello.ts";
import { configOf, listen, readAll, send, startCore, type TestCore } from "../../support/egress/core.ts";
import { test } from "../../support/harness.ts";
import { within } from "../../support/within.ts";

const ADDRESS = "93.184.216.34";
const REQUEST = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";

/** All but one name. */
function withoutEvil(): EgressConfig {
  const policy = policies.allowAll();
  return configOf(undefined, {
    policy: { ...policy, rules: [rules.denyEgress(destinations.domain("evil.example")), ...policy.rules] },
  });
}

async function startSink(core: TestCore) {
  let received = "";
  const server = await listen((socket) => {
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
    });
    socket.on("end", () => socket.end());
  });
  core.routes.set(ADDRESS, server.port);
  return {
    received: () => received,
    arrived: (text: string) =>
      pollUntil(() => received.includes(text), { everyMs: 2, timeoutMs: 5_000 }).then(assert.ok),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

for (const [protocol, bytes] of [
  ["TLS", clientHelloFor("evil.example")],
  ["HTTP", Buffer.from(REQUEST)],
] as const) {
  test(`escape: a connection that was opened before a rule denied the name, and shows it later by ${protocol}`, async () => {
    await using core = startCore(configOf());
    await using sink = await startSink(core);
    const silent = await core.link.mustConnect(ADDRESS, 8443);
    const begun = await core.link.mustConnect(ADDRESS, 8443);
    await send(begun, bytes.subarray(0, 6));
    await sink.arrived(bytes.subarray(0, 6).toString("latin1"));
    core.egress.update(withoutEvil());
    await send(silent, bytes);
    await send(begun, bytes.subarray(6));
    await within(5_000, "the reset", () => Promise.all([silent.wasReset, begun.wasReset]));
    assert.ok(!sink.received().includes("evil"), sink.received());
  });

  test(`escape: a connection on which a name was shown by ${protocol} before a rule denied it`, async () => {
    await using core = startCore(configOf());
    await using sink = await startSink(core);
    const guest = await core.link.mustConnect(ADDRESS, 8443);
    await send(guest, bytes);
    await sink.arrived("evil");
    core.egress.update(withoutEvil());
    await within(5_000, "the reset", () => guest.wasReset);
  });

  test(`escape: a rule that comes while a connection is opened, for a name that is shown by ${protocol}`, async () => {
    await using core = startCore(configOf());
    await using sink = await startSink(core);
    const connecting = core.link.mustConnect(ADDRESS, 8443);
    core.egress.update(withoutEvil());
    const guest = await connecting;
    await send(guest, bytes);
    await within(5_000, "the reset", () => guest.wasReset);
    assert.equal(sink.received(), "");
  });
}

test("escape: a request before the rule that can be read in two ways", async () => {
  await using core = startCore(configOf());
  await using sink = await startSink(core);
  const guest = await core.link.mustConnect(ADDRESS, 8443);
  await send(guest, "GET / HTTP/1.1\r\nHost: good.example\r\nHost: evil.example\r\n\r\n");
  await sink.arrived("evil");
  core.egress.update(withoutEvil());
  await within(5_000, "the reset", () => guest.wasReset);
});

test("connections with names that stay allowed go on when rules about names come, and those of other protocols", async () => {
  await using core = startCore(configOf());
  await using sink = await startSink(core);
  const starts = [
    REQUEST.replace("evil", "good"),
    "SSH-2.0-OpenSSH_9\r\n",
    "no line yet",
    "GET / HTTP/1.1\r\nHost: goo",
  ];
  const guests = await Promise.all(starts.map(() => core.link.mustConnect(ADDRESS, 8443)));
  for (const [index, guest] of guests.entries()) {
    await send(guest, starts[index] ?? "");
    await sink.arrived(starts[index] ?? "");
  }
  core.egress.update(withoutEvil());
  for (const [index, guest] of guests.entries()) {
    await send(guest, index === 3 ? "d.example\r\n\r\nrest of 3" : `rest of ${index}`, true);
    await within(5_000, `the end of ${index}`, () => readAll(guest));
    assert.ok(sink.received().includes(`rest of ${index}`), `${index}`);
  }
});
