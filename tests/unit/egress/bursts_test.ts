/** Requests of a guest that all come at once, so that none is over before the last is taken. @module */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { pollUntil } from "../../../src/base/wait.ts";
import { PINS_PER_ADDRESS_MAX, Pins } from "../../../src/egress/dns/pins.ts";
import { Egress } from "../../../src/egress/egress.ts";
import type { FlowProtocol, GuestDatagrams, GuestLink } from "../../../src/egress/flow.ts";
import { UDP_FLOWS_MAX } from "../../../src/egress/flows/udp_flows.ts";
import { configOf, startCore } from "../../support/egress/core.ts";
import { test } from "../../support/harness.ts";
import { within } from "../../support/within.ts";

const BURST = 4_000;

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

test("Egress keeps to its bound of UDP flows when a guest asks for 4,000 in one turn", async () => {
  await using core = startCore(configOf());
  const before = descriptors();
  for (let index = 0; index < BURST; index++)
    core.link.datagrams("1.2.3.4", 5000, Buffer.from("x")).catch(() => {});
  assert.ok(core.egress.flows.udp <= UDP_FLOWS_MAX, `${core.egress.flows.udp} flows`);
  await pollUntil(() => core.link.waiting === 0, { everyMs: 2, timeoutMs: 20_000 });
  assert.ok(core.egress.flows.udp <= UDP_FLOWS_MAX, `${core.egress.flows.udp} flows`);
  assert.ok(descriptors() - before < 2 * UDP_FLOWS_MAX, `${descriptors() - before} descriptors`);
});

test("Egress keeps to its bounds of DNS and echo flows when a guest asks for 4,000 in one turn", async () => {
  await using core = startCore(configOf());
  const open = new Set<object>();
  for (let index = 0; index < BURST; index++) {
    const protocol = index % 2 === 0 ? "udp" : "icmp";
    const address = index % 2 === 0 ? "8.8.8.8" : "203.0.113.1";
    core.link.datagrams(address, index % 2 === 0 ? 53 : 0, new Uint8Array(0), protocol).then(
      (socket) => {
        if (typeof socket === "string") return;
        open.add(socket);
        socket.ended.then(() => open.delete(socket));
      },
      () => {},
    );
  }
  assert.ok(core.egress.flows.dns <= 256, `${core.egress.flows.dns} flows`);
  const isBounded = () => core.link.waiting === 0 && open.size === 256 + 16;
  assert.ok(await pollUntil(isBounded, { everyMs: 1, timeoutMs: 2_000 }), `${open.size} flows`); // before any is idle
});

/** A guest that asks, and never takes a connection that it was granted. */
class SilentLink implements GuestLink {
  onRequest: GuestLink["onRequest"] = () => {};
  readonly closed = new Promise<void>(() => {});
  refused = 0;
  #id = 1;

  ask(protocol: FlowProtocol, address: string, port: number): void {
    const source = { address: "203.0.113.2", port: 40_000 };
    const { signal } = new AbortController();
    this.onRequest({ id: this.#id++, protocol, source, destination: { address, port }, signal });
  }

  accept = () => new Promise<never>(() => {});
  acceptDatagrams(): GuestDatagrams {
    throw new Error("not asked for here");
  }
  refuse(): void {
    this.refused++;
  }
  close(): void {}
}

test("Egress does not wait for a guest that asks for DNS by TCP and takes none of the connections", async () => {
  const link = new SilentLink();
  const egress = new Egress({ link, config: configOf() });
  for (let index = 0; index < BURST; index++) link.ask("tcp", "8.8.8.8", 53);
  assert.ok(egress.flows.dns <= 64, `${egress.flows.dns} flows`);
  await within(5_000, "closing", () => egress.close());
});

test("Pins keeps a bounded number of names of one address, the last ones", () => {
  const pins = new Pins();
  for (let index = 0; index < BURST; index++) pins.add(`n${index}.attacker.example`, ["1.2.3.4"], 3600);
  const names = pins.namesOf("1.2.3.4");
  assert.equal(names.length, PINS_PER_ADDRESS_MAX);
  assert.equal(pins.size, PINS_PER_ADDRESS_MAX);
  assert.ok(names.includes(`n${BURST - 1}.attacker.example`));
  pins.add(names[0] ?? "", ["1.2.3.4"], 3600); // used again: another one is the oldest now
  pins.add("one-more.attacker.example", ["1.2.3.4"], 3600);
  assert.ok(pins.namesOf("1.2.3.4").includes(names[0] ?? ""));
});
