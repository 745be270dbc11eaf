/**
 * The pool's own logic, with members that take no time to make.
 *
 * @module
 */
import assert from "node:assert/strict";
import { AbortedError, InvalidConfigError, SandboxPool, TimeoutError } from "../../../../mod.ts";
import { limitOrDiscard } from "../../../../src/sandbox/pool/sandbox_pool.ts";
import { DISCARD_TRIES_MAX, type PoolOptions, WarmPool } from "../../../../src/sandbox/pool/warm_pool.ts";
import { test } from "../../../support/harness.ts";
import { eventually } from "../../../support/processes.ts";

/** A pool of numbers. A number is made when the test says so, unless `isManual` is false. */
class Workshop {
  readonly pool: WarmPool<number>;
  readonly discarded: number[] = [];
  readonly sick = new Set<number>();
  /** How often the next tries to discard a member fail. */
  discardFailures = 0;
  readonly pending: PromiseWithResolvers<number>[] = [];
  concurrentMax = 0;
  made = 0;

  constructor(limits: Partial<PoolOptions> & { readonly isManual?: boolean }) {
    const { isManual = false, ...rest } = limits;
    this.pool = new WarmPool<number>(
      {
        make: async (signal) => {
          const order = Promise.withResolvers<number>();
          this.pending.push(order);
          this.concurrentMax = Math.max(this.concurrentMax, this.pending.length);
          signal.addEventListener("abort", () => order.reject(new Error("given up")));
          if (!isManual) setTimeout(() => this.finish(), 0);
          return await order.promise;
        },
        isHealthy: async (member) => !this.sick.has(member),
        discard: async (member) => {
          if (this.discardFailures-- > 0) throw new Error(`${member} does not end`);
          this.discarded.push(member);
        },
      },
      { noun: "number", size: 2, makesMax: 2, checkIntervalMs: 60_000, ...rest },
    );
  }

  /** The oldest order is done. */
  finish(): void {
    this.pending.shift()?.resolve(++this.made);
  }

  fail(message: string): void {
    this.pending.shift()?.reject(new Error(message));
  }
}

test("WarmPool makes as many as it keeps, not more at a time than it may, and one more for each claim", async () => {
  const workshop = new Workshop({ size: 5, makesMax: 2 });
  const { pool } = workshop;
  await eventually(() => assert.equal(pool.available, 5));
  assert.equal(workshop.made, 5);
  assert.equal(workshop.concurrentMax, 2);
  assert.equal(await pool.claim(), 1, "the oldest first");
  assert.equal(await pool.claim(), 2);
  await eventually(() => assert.equal(pool.available, 5));
  assert.equal(workshop.made, 7);
  await pool.close();
  assert.deepEqual(workshop.discarded.toSorted(), [3, 4, 5, 6, 7]);
});

test("WarmPool.claim() serves those who wait in their order, beyond what it keeps", async () => {
  const workshop = new Workshop({ size: 1, makesMax: 8, isManual: true });
  const claims = Promise.all([1, 2, 3].map(() => workshop.pool.claim()));
  assert.equal(workshop.pending.length, 4, "one for each who waits, and one to keep");
  for (let i = 0; i < 4; i++) workshop.finish();
  assert.deepEqual(await claims, [1, 2, 3]);
  await eventually(() => assert.equal(workshop.pool.available, 1));
  await workshop.pool.close();
});

test("WarmPool.claim() gives no member away that is not well", async () => {
  const workshop = new Workshop({ size: 3 });
  await eventually(() => assert.equal(workshop.pool.available, 3));
  workshop.sick.add(1).add(2);
  assert.equal(await workshop.pool.claim(), 3);
  assert.deepEqual(workshop.discarded, [1, 2]);
  await eventually(() => assert.equal(workshop.pool.available, 3));
  await workshop.pool.close();
});

test("WarmPool replaces members that fall ill while they wait", async () => {
  const workshop = new Workshop({ size: 2, checkIntervalMs: 10 });
  await eventually(() => assert.equal(workshop.pool.available, 2));
  workshop.sick.add(2);
  await eventually(() => assert.deepEqual(workshop.discarded, [2]));
  await eventually(() => assert.equal(workshop.pool.available, 2));
  await workshop.pool.close();
  assert.deepEqual(workshop.discarded.toSorted(), [1, 2, 3]);
});

test("WarmPool tells one who waits why nothing could be made, and tries again", async () => {
  const workshop = new Workshop({ size: 1, makesMax: 1, isManual: true });
  const claim = workshop.pool.claim();
  workshop.fail("no room");
  await assert.rejects(claim, /no room/);
  assert.match(String(workshop.pool.lastError), /no room/);
  assert.equal(workshop.pending.length, 0, "not at once: it waits first");
  const second = workshop.pool.claim();
  await eventually(() => assert.equal(workshop.pending.length, 1));
  workshop.finish();
  assert.equal(await second, 1);
  assert.equal(workshop.pool.lastError, undefined);
  await workshop.pool.close();
});

test("WarmPool.claim() ends with its timeout and its signal, and loses no member by that", async () => {
  const workshop = new Workshop({ size: 1, makesMax: 1, isManual: true });
  await assert.rejects(
    workshop.pool.claim({ timeoutMs: 5 }),
    /^TimeoutError: Timed out after 5 ms while waiting for a number of the pool$/,
  );
  const abort = new AbortController();
  const claim = workshop.pool.claim({ signal: abort.signal });
  abort.abort();
  await assert.rejects(claim, AbortedError);
  workshop.finish();
  assert.equal(await workshop.pool.claim(), 1, "who has left gets nothing");
  await workshop.pool.close();
});

test("WarmPool.close() gives up what is being made and rejects who waits", async () => {
  const workshop = new Workshop({ size: 2, isManual: true });
  const claim = workshop.pool.claim();
  const rejected = assert.rejects(claim, AbortedError);
  await workshop.pool.close();
  await rejected;
  await assert.rejects(workshop.pool.claim(), AbortedError);
  workshop.finish();
  assert.equal(workshop.pool.available, 0);
});

test("SandboxPool refuses options that no boot could use", () => {
  const spec = { image: "./rootfs" };
  for (const options of [
    { spec, size: 0 },
    { spec, size: 1.5 },
    { spec, size: 1, bootsMax: 0 },
    { spec, size: 1, namePrefix: "not/a/name" },
    { spec: { ...spec, cpus: 0 }, size: 1 },
    { spec: { ...spec, unknown: true }, size: 1 },
  ]) {
    assert.throws(() => new SandboxPool(options), InvalidConfigError, JSON.stringify(options));
  }
});

test("WarmPool.claim() refuses a signal that has fired and a timeout that is none", async () => {
  const { pool } = new Workshop({ size: 1, isManual: true });
  const signal = AbortSignal.abort("enough");
  await assert.rejects(
    pool.claim({ signal }),
    (error) => error instanceof AbortedError && error.cause === "enough",
  );
  for (const timeoutMs of [Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31, -1])
    await assert.rejects(pool.claim({ timeoutMs }), InvalidConfigError, `${timeoutMs}`);
  await pool.close();
});

/** A pool of one member, whose health check does not answer before the test lets it. */
function hangingPool() {
  const check = Promise.withResolvers<boolean>();
  const discarded: number[] = [];
  let made = 0;
  const actions = {
    make: async () => ++made,
    isHealthy: () => check.promise,
    discard: async (member: number) => void discarded.push(member),
  };
  return {
    check,
    discarded,
    pool: new WarmPool(actions, { noun: "number", size: 1, makesMax: 1, checkIntervalMs: 60_000 }),
  };
}

test("WarmPool.claim() leaves in time while a member is looked at, and keeps that for others", async () => {
  const { pool, check, discarded } = hangingPool();
  await eventually(() => assert.equal(pool.available, 1));
  await assert.rejects(pool.claim({ timeoutMs: 5 }), TimeoutError);
  check.resolve(true);
  await eventually(() => assert.equal(pool.available, 1));
  assert.equal(await pool.claim(), 1);
  await pool.close();
  assert.ok(!discarded.includes(1), "it is the caller's");

  const other = hangingPool();
  await eventually(() => assert.equal(other.pool.available, 1));
  const abort = new AbortController();
  const claims = [other.pool.claim({ signal: abort.signal })];
  abort.abort();
  await assert.rejects(Promise.all(claims), AbortedError);
  const closed = other.pool.close();
  other.check.resolve(true);
  await closed;
  assert.deepEqual(other.discarded, [1], "no claim has it");
});

test("WarmPool listens to nothing for each look at its members", async () => {
  let listeners = 0;
  let looks = 0;
  const actions = {
    make: async (signal: AbortSignal) => {
      signal.addEventListener = () => void listeners++;
      return 1;
    },
    isHealthy: async () => ++looks > 0,
    discard: async () => {},
  };
  const pool = new WarmPool(actions, { noun: "number", size: 1, makesMax: 1, checkIntervalMs: 1 });
  await eventually(() => assert.ok(looks > 3));
  await pool.close();
  assert.equal(listeners, 0);
});

test("limitOrDiscard() discards a sandbox that does not take its limits", async () => {
  const discarded: unknown[] = [];
  const sandbox = { setTimeLimits: () => Promise.reject(new Error("no answer")) };
  const limiting = limitOrDiscard(sandbox, { maxDurationMs: 1000 }, (unusable) => discarded.push(unusable));
  await assert.rejects(limiting, /no answer/);
  assert.deepEqual(discarded, [sandbox]);
});

test("WarmPool tries again to discard a member until it is gone", async () => {
  const workshop = new Workshop({ size: 1 });
  await eventually(() => assert.equal(workshop.pool.available, 1));
  workshop.discardFailures = 2;
  await workshop.pool.close();
  assert.deepEqual([workshop.discarded, workshop.pool.orphans], [[1], []]);
});

test("WarmPool.close() rejects with the reason if a member could not be discarded, which orphans names", async () => {
  const workshop = new Workshop({ size: 1 });
  workshop.discardFailures = DISCARD_TRIES_MAX;
  const member = await workshop.pool.claim();
  workshop.pool.discard(member);
  await eventually(() => assert.deepEqual(workshop.pool.orphans, [1]), 30_000);
  await assert.rejects(workshop.pool.close(), /1 does not end/);
});

test("WarmPool discards a member that could not be made ready", async () => {
  const discarded: number[] = [];
  const actions = {
    make: async (_signal: AbortSignal, discard: (member: number) => void) => {
      discard(1);
      throw new Error("no answer");
    },
    isHealthy: async () => true,
    discard: async (member: number) => void discarded.push(member),
  };
  const pool = new WarmPool<number>(actions, {
    noun: "number",
    size: 1,
    makesMax: 1,
    checkIntervalMs: 60_000,
  });
  await eventually(() => assert.deepEqual(discarded, [1]));
  await pool.close();
});
