/** What the VM host process keeps of a network that another process carries. @module */
import assert from "node:assert/strict";
import type { FlowEntry } from "../../../../src/egress/flows/flow_log.ts";
import { reportOf } from "../../../../src/egress/update.ts";
import { ServedEgress } from "../../../../src/vmm/host/served_egress.ts";
import { configOf } from "../../../support/egress/core.ts";
import { test } from "../../../support/harness.ts";

const rules = { ...reportOf(configOf()), servedBy: "client" } as const;
const traffic = { rxBytes: 5, txBytes: 7 };
const entry: FlowEntry = {
  time: 1,
  id: 1,
  protocol: "tcp",
  destination: { address: "198.51.100.7", port: 80 },
  decision: "allowed",
  reason: "default",
  bytesIn: 0,
  bytesOut: 0,
};

function start() {
  const flows: object[] = [];
  const seen = { lost: 0, variables: {}, reasons: [] as string[], flows };
  const egress = new ServedEgress({
    rules,
    log: {
      flow: (record) => flows.push(record),
      flowsLost: (records) => {
        seen.lost += records;
      },
    },
    guest: {
      setVariables: (variables) => {
        seen.variables = variables;
      },
    },
    onTerminate: (reason) => seen.reasons.push(reason),
  });
  return { egress, seen };
}

test("ServedEgress takes reports of the client that came first, and of no other one", async () => {
  const { egress, seen } = start();
  const [server, other] = [{}, {}];
  assert.equal(egress.isServed, false);
  assert.throws(() => egress.report(other, { type: "terminate", reason: "early" }), /another process/);
  egress.report(server, { type: "serving", variables: { A: "1" }, rules });
  assert.equal(egress.isServed, true);
  assert.throws(() => egress.report(other, { type: "serving", variables: {}, rules }), /another process/);
  assert.throws(() => egress.report(other, { type: "terminate", reason: "no" }), /another process/);
  egress.report(server, { type: "terminate", reason: "yes" });
  assert.deepEqual([seen.reasons, seen.variables], [["yes"], { A: "1" }]);
  egress.left(other);
  assert.equal(egress.isServed, true);
});

test("ServedEgress tells the rules that are in force, and changes none itself", async () => {
  const { egress } = start();
  const server = {};
  assert.equal(await egress.update({}), rules);
  egress.report(server, { type: "serving", variables: {}, rules });
  const changed = { ...rules, maxConnections: 3 };
  egress.report(server, { type: "updated", rules: changed });
  assert.equal((await egress.update({})).maxConnections, 3);
  await assert.rejects(egress.update({ maxConnections: 4 }), /the process that gave its hooks/);
});

test("ServedEgress logs a bounded number of flows a report, and is settled when the last are told", async () => {
  const { egress, seen } = start();
  const server = {};
  await egress.settled(); // nothing is under way
  egress.report(server, { type: "serving", variables: {}, rules });
  const entries = Array.from({ length: 1030 }, () => entry);
  egress.report(server, { type: "flows", entries, lostCount: 2, traffic });
  assert.deepEqual([seen.flows.length, seen.lost], [1024, 8]);
  assert.deepEqual(seen.flows[0], { kind: "flow", ...entry });
  assert.deepEqual(egress.traffic, traffic);
  let isSettled = false;
  const settled = egress.settled().then(() => {
    isSettled = true;
  });
  await Promise.resolve();
  assert.equal(isSettled, false);
  egress.report(server, { type: "ended", traffic: { rxBytes: 6, txBytes: 8 } });
  await settled;
  assert.deepEqual(egress.traffic, { rxBytes: 6, txBytes: 8 });
  egress.left(server);
  assert.equal(egress.isServed, false);
});
