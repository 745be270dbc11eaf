/**
 * Runs in a network namespace of its own, see `routes_test.ts`: asks for connections through an `Egress`, and prints what the
 * guest was told.
 *
 * @module
 */
import { dial, refusalOf } from "../../../src/egress/flows/dial.ts";
import { configOf, startCore } from "./core.ts";
import { a, aaaa, ask, startNameServer, zoneOf } from "./name_server.ts";

await using dns = await startNameServer(
  zoneOf([a("both.example", "198.51.100.1"), aaaa("both.example", "2606:4700::1")]),
);
const nameservers = [`127.0.0.1:${dns.port}`];
const config = configOf(undefined, { dns: { nameservers, rebindProtection: false, queryTimeoutMs: 3_000 } });
await using core = startCore(config, { isDirect: true });
const signal = new AbortController().signal;
const quiet = { address: "10.77.0.9", port: 80 };
const silent = dial([quiet], signal, 300).then(
  () => "connected",
  (error: unknown) => refusalOf(error, quiet),
);
const udp = await core.link.datagrams("9.9.9.9", 5000, new Uint8Array(1));
const results = {
  noRoute: await core.link.connect("9.9.9.9", 80),
  unreachable: await core.link.connect("10.88.0.1", 80),
  prohibited: await core.link.connect("10.89.0.1", 80),
  linkLocal: await core.link.connect("fe80::1", 80),
  udp: typeof udp === "string" ? udp : await udp.ended,
  silent: await silent,
  addresses: (await ask(core.link, "both.example")).addresses,
  addresses6: (await ask(core.link, "both.example", "AAAA")).addresses,
  rcode6: (await ask(core.link, "both.example", "AAAA")).rcode,
};
console.log(JSON.stringify(results));
