/**
 * Runs in a network namespace with a slow link, see `slow_link_test.ts`: sends far more datagrams than it takes through an
 * `Egress`, and prints how many bytes were taken.
 *
 * @module
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { configOf, startCore } from "./core.ts";

const DATAGRAMS = 1000;
const data = new Uint8Array(60_000);

await using core = startCore(configOf(), { isDirect: true });
const guest = await core.link.datagrams("10.77.0.2", 9, data);
if (typeof guest === "string") throw new Error(guest);
for (let sent = 0; sent < DATAGRAMS; sent++) {
  guest.send(data);
  if (sent % 10 === 0) await nextTurn();
}
guest.close();
await core.idle();
await core.close();
console.log(JSON.stringify({ bytesOut: core.entries.at(-1)?.bytesOut }));
