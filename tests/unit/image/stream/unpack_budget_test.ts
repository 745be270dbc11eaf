import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { KiB, MiB } from "../../../../src/base/bytes.ts";
import { TarInvalidError } from "../../../../src/image/errors.ts";
import { decompressDetected } from "../../../../src/image/stream/compression.ts";
import { UnpackBudget } from "../../../../src/image/stream/unpack_budget.ts";
import { test } from "../../../support/harness.ts";

async function sizeOf(source: AsyncIterable<Uint8Array>): Promise<number> {
  let size = 0;
  for await (const chunk of source) size += chunk.length;
  return size;
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

test("UnpackBudget passes layers up to its limit in all, and not a byte more", async () => {
  const budget = new UnpackBudget(10);
  assert.equal(await sizeOf(budget.spend(once(new Uint8Array(6)))), 6);
  assert.equal(await sizeOf(budget.spend(once(new Uint8Array(4)))), 4);
  await assert.rejects(sizeOf(budget.spend(once(new Uint8Array(1)))), TarInvalidError);
});

test("UnpackBudget stops a stream that unpacks to far more than its size", async () => {
  const bomb = gzipSync(new Uint8Array(32 * MiB));
  assert.ok(bomb.length < 64 * KiB);
  await assert.rejects(
    sizeOf(new UnpackBudget(2 * MiB).spend(decompressDetected(once(bomb)))),
    TarInvalidError,
  );
});
