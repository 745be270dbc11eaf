import assert from "node:assert/strict";
import { join } from "node:path";
import { StateStore } from "../../../src/state/state_store.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { claimOf } from "../../support/home/claims.ts";
import { Racer } from "../../support/host/racing_host.ts";

test(
  "StateStore.claimCreate() gives each of 1,000 names to exactly one of two processes",
  async () => {
    using directory = temporaryDirectory();
    await using first = await Racer.start();
    await using second = await Racer.start();
    const racers = [first, second];
    await Promise.all(racers.map((racer) => racer.ask({ type: "open", home: directory.path })));
    const won = await Promise.all(racers.map((racer) => racer.ask({ type: "claim", count: 1000 })));
    const names = won.flat() as number[];
    assert.deepEqual(
      names.sort((a, b) => a - b),
      Array.from({ length: 1000 }, (_, index) => index),
    );
    const state = new StateStore(directory.path);
    assert.equal(state.list({}).length, 1000);
    assert.equal(state.eventLog.range().newest, 2000); // created and starting, once for each
    state.close();
  },
  { timeoutMs: 60_000 },
);

test(
  "StateStore opens a home that four processes make at the same moment",
  async () => {
    using directory = temporaryDirectory();
    await using racers = new AsyncDisposableStack();
    const four: Racer[] = [];
    for (let i = 0; i < 4; i++) four.push(racers.use(await Racer.start()));
    for (let round = 0; round < 25; round++) {
      const home = join(directory.path, String(round));
      const opened = await Promise.all(four.map((racer) => racer.ask({ type: "open", home })));
      assert.deepEqual(opened, [0, 0, 0, 0]);
    }
  },
  { timeoutMs: 60_000 },
);

test(
  "StateStore.remove() never takes the directory of a namesake that is created at the same moment",
  async () => {
    using directory = temporaryDirectory();
    await using first = await Racer.start();
    await using second = await Racer.start();
    const racers = [first, second];
    await Promise.all(racers.map((racer) => racer.ask({ type: "open", home: directory.path })));
    // Each checks at every turn that the directory is its own.
    await Promise.all(racers.map((racer) => racer.ask({ type: "cycle", name: "x", count: 150 })));
    const state = new StateStore(directory.path);
    assert.deepEqual(state.list({}), []);
    assert.equal(state.eventLog.range().newest, 2 * 150 * 4); // created, starting, stopped, removed
    state.close();
  },
  { timeoutMs: 60_000 },
);

test(
  "StateStore.claimStart() gives a boot to exactly one of two processes",
  async () => {
    using directory = temporaryDirectory();
    await using first = await Racer.start();
    await using second = await Racer.start();
    const racers = [first, second];
    const state = new StateStore(directory.path);
    await Promise.all(racers.map((racer) => racer.ask({ type: "open", home: directory.path })));
    for (let round = 0; round < 50; round++) {
      const key = state.claimCreate(claimOf(`sandbox-${round}`));
      state.transition(key, "stopped");
      const boots = await Promise.all(racers.map((racer) => racer.ask({ type: "start", last: key })));
      assert.deepEqual(boots.sort(), [2, null]);
    }
    state.close();
  },
  { timeoutMs: 60_000 },
);
