import assert from "node:assert/strict";
import { RateLimiter, TokenBucket } from "../../../../src/egress/flows/rate_limit.ts";
import { configOf, listen, startCore } from "../../../support/egress/core.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { test } from "../../../support/harness.ts";

test("TokenBucket starts full, refills continuously, and has its burst once", () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ size: 1000, refillTimeMs: 1000, oneTimeBurst: 500 }, clock);
  bucket.take(500); // the burst
  bucket.take(1000);
  assert.ok(bucket.waitMs > 0);
  clock.advance(1);
  assert.equal(bucket.waitMs, 0);
  bucket.take(1); // all that was refilled
  assert.equal(bucket.waitMs, 1);
  clock.advance(10_000);
  bucket.take(1000);
  assert.ok(bucket.waitMs > 0, "it holds no more than its size");
});

test("TokenBucket lets a chunk through that is larger than itself, and waits for it afterwards", () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket({ size: 100, refillTimeMs: 100, oneTimeBurst: 0 }, clock);
  assert.equal(bucket.waitMs, 0);
  bucket.take(1100);
  assert.equal(bucket.waitMs, 1001);
  clock.advance(1000);
  assert.equal(bucket.waitMs, 1);
});

test("RateLimiter holds a stream's chunks, drops datagrams, and leaves no timer behind", async () => {
  const clock = new FakeClock();
  const limiter = new RateLimiter({ ops: { size: 2, refillTimeMs: 1000, oneTimeBurst: 0 } }, clock);
  const { signal } = new AbortController();
  await limiter.pass(1, signal);
  assert.equal(limiter.tryPass(1), true);
  assert.equal(limiter.tryPass(1), false);
  let passed = false;
  const waiting = limiter.pass(1, signal).then(() => {
    passed = true;
  });
  clock.advance(499);
  await Promise.resolve();
  assert.equal(passed, false);
  clock.advance(1);
  await waiting;
  assert.equal(clock.alarms, 0);
  const cancelled = new AbortController();
  const rejected = assert.rejects(limiter.pass(1, cancelled.signal));
  cancelled.abort();
  await rejected;
  assert.equal(clock.alarms, 0);
});

test("Egress keeps to the bandwidth of each direction, for all connections together", async () => {
  const size = 256 * 1024;
  await using server = await listen((socket) => {
    socket.end(Buffer.alloc(size));
    socket.resume();
  });
  const bucket = { size, refillTimeMs: 1000, oneTimeBurst: 0 };
  await using core = startCore(configOf(undefined, { rateLimiter: { ingress: { bandwidth: bucket } } }));
  core.routes.set("1.2.3.4", server.port);
  const begin = performance.now();
  const sizes = await Promise.all(
    [1, 2, 3].map(async () => {
      const guest = await core.link.mustConnect("1.2.3.4", 80);
      let count = 0;
      for await (const chunk of guest.readable) count += chunk.length;
      await guest.writable.close();
      return count;
    }),
  );
  assert.deepEqual(sizes, [size, size, size]);
  // Three buckets' worth, of which the first is there at the start. The last chunks pass on credit.
  assert.ok(performance.now() - begin > 1_000, "the limit was not kept");
});
