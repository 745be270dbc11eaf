import assert from "node:assert/strict";
import { type Shareable, SharedConnection } from "../../../../src/backend/local/shared_connection.ts";
import { AbortedError, TimeoutError } from "../../../../src/base/errors.ts";
import { test } from "../../../support/harness.ts";

const LONG_MS = 60_000;

/** Connections that the test opens and closes. */
class Line {
  readonly attempts: (PromiseWithResolvers<Connection> & { readonly signal: AbortSignal })[] = [];
  readonly shared = new SharedConnection<Connection>((signal) => {
    const attempt = { ...Promise.withResolvers<Connection>(), signal };
    signal.addEventListener("abort", () => attempt.reject(new Error("given up")));
    this.attempts.push(attempt);
    return attempt.promise;
  });
}

interface Connection extends Shareable {
  readonly number: number;
  close(): void;
}

function connection(number: number, more: Partial<Connection> = {}): Connection {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { number, closed: promise, isUsedUp: false, closeWhenIdle: () => {}, close: resolve, ...more };
}

test("SharedConnection.get() makes one connection for all, until it is closed", async () => {
  const line = new Line();
  const both = Promise.all([
    line.shared.get({ timeoutMs: LONG_MS }),
    line.shared.get({ timeoutMs: LONG_MS }),
  ]);
  assert.equal(line.attempts.length, 1);
  const first = connection(1);
  line.attempts[0]?.resolve(first);
  assert.deepEqual(
    (await both).map(({ number }) => number),
    [1, 1],
  );
  assert.equal((await line.shared.get({ timeoutMs: LONG_MS })).number, 1);
  first.close();
  await first.closed;
  const second = line.shared.get({ timeoutMs: LONG_MS });
  assert.equal(line.attempts.length, 2);
  line.attempts[1]?.resolve(connection(2));
  assert.equal((await second).number, 2);
});

test("SharedConnection.get() of one caller who leaves does not fail another's", async () => {
  const line = new Line();
  const leaver = new AbortController();
  const left = line.shared.get({ timeoutMs: LONG_MS, signal: leaver.signal });
  const hasty = line.shared.get({ timeoutMs: 1 });
  const patient = line.shared.get({ timeoutMs: LONG_MS });
  leaver.abort("enough");
  await assert.rejects(left, (error) => error instanceof AbortedError && error.cause === "enough");
  await assert.rejects(hasty, (error) => error instanceof TimeoutError && error.timeoutMs === 1);
  assert.equal(line.attempts[0]?.signal.aborted, false);
  line.attempts[0]?.resolve(connection(1));
  assert.equal((await patient).number, 1);
});

test("SharedConnection.get() gives the attempt up when all have left, and begins anew", async () => {
  const line = new Line();
  await assert.rejects(line.shared.get({ timeoutMs: 1 }), TimeoutError);
  assert.equal(line.attempts[0]?.signal.aborted, true);
  const next = line.shared.get({ timeoutMs: LONG_MS });
  line.attempts[1]?.resolve(connection(2));
  assert.equal((await next).number, 2);
});

test("SharedConnection.get() tells all why there is no connection, and tries again for the next", async () => {
  const line = new Line();
  const both = [line.shared.get({ timeoutMs: LONG_MS }), line.shared.get({ timeoutMs: LONG_MS })];
  line.attempts[0]?.reject(new Error("refused"));
  for (const failed of both) await assert.rejects(failed, /refused/);
  const next = line.shared.get({ timeoutMs: LONG_MS });
  assert.equal(line.attempts.length, 2);
  line.attempts[1]?.resolve(connection(2));
  assert.equal((await next).number, 2);
});

test("SharedConnection.get() begins nothing for a signal that has fired", async () => {
  const line = new Line();
  await assert.rejects(line.shared.get({ timeoutMs: LONG_MS, signal: AbortSignal.abort() }), AbortedError);
  assert.equal(line.attempts.length, 0);
});

test("SharedConnection.get() makes another once the one that is there is used up, and lets go of that", async () => {
  const line = new Line();
  let released = 0;
  const used = connection(1, { isUsedUp: true, closeWhenIdle: () => released++ });
  const first = line.shared.get({ timeoutMs: LONG_MS });
  line.attempts[0]?.resolve(used);
  assert.equal((await first).number, 1, "he who waited gets it");
  const both = [line.shared.get({ timeoutMs: LONG_MS }), line.shared.get({ timeoutMs: LONG_MS })];
  assert.deepEqual([line.attempts.length, released], [2, 1]);
  line.attempts[1]?.resolve(connection(2));
  assert.deepEqual(
    (await Promise.all(both)).map(({ number }) => number),
    [2, 2],
  );
  used.close();
  await used.closed;
  assert.equal((await line.shared.get({ timeoutMs: LONG_MS })).number, 2, "its end is not the other's");
});
