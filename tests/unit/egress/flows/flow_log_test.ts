import assert from "node:assert/strict";
import { type FlowEntry, FlowLog } from "../../../../src/egress/flows/flow_log.ts";
import { test } from "../../../support/harness.ts";

const entry = (id: number): FlowEntry => ({
  time: 0,
  id,
  protocol: "tcp",
  destination: { address: "1.1.1.1", port: 1 },
  decision: "allowed",
  reason: "rule",
  bytesIn: 0,
  bytesOut: 0,
});

test("FlowLog hands entries on in order, and says how many a slow sink has lost", async () => {
  const gate = Promise.withResolvers<void>();
  const ids: number[] = [];
  const losses: number[] = [];
  const log = new FlowLog({
    async write(entries, lostCount) {
      await gate.promise;
      ids.push(...entries.map(({ id }) => id));
      losses.push(lostCount);
    },
  });
  for (let id = 0; id < 10; id++) log.add(entry(id));
  await Promise.resolve(); // the first batch is with the sink
  await Promise.resolve();
  for (let id = 10; id < 5_000; id++) log.add(entry(id));
  gate.resolve();
  await log.flushed();
  const lost = losses.reduce((sum, count) => sum + count);
  assert.ok(lost > 0);
  assert.equal(ids.length + lost, 5_000);
  assert.deepEqual(
    ids,
    ids.toSorted((one, other) => one - other),
  );
});

test("FlowLog counts what a sink that fails was given, and goes on", async () => {
  let fails = true;
  const seen: [number, number][] = [];
  const log = new FlowLog({
    async write(entries, lostCount) {
      if (fails) throw new Error("disk full");
      seen.push([entries.length, lostCount]);
    },
  });
  log.add(entry(1));
  await log.flushed();
  fails = false;
  log.add(entry(2));
  await log.flushed();
  assert.deepEqual(seen, [[1, 1]]);
});
