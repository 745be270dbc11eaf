import assert from "node:assert/strict";
import { SendQueue } from "../../../src/platform/send_queue.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

test("SendQueue gives back what was pushed, in order, however it is taken", () => {
  const random = seededRandom("SendQueue");
  for (let round = 0; round < 50; round++) {
    const queue = new SendQueue();
    const pushed: Uint8Array[] = [];
    const taken: Uint8Array[] = [];
    const takeSome = (most: number) => {
      const first = queue.first();
      if (first === undefined) return false;
      const count = random.integer(1, Math.min(most, first.length));
      taken.push(first.subarray(0, count)); // not copied: nothing may overwrite it
      queue.take(count);
      return true;
    };
    for (let step = 0; step < 300; step++) {
      if (random.integer(0, 2) === 0) takeSome(random.pick([1, 100, 100_000]));
      const bytes = random.bytes(random.pick([0, 1, 12, 500, 4095, 4096, 9000]));
      pushed.push(bytes);
      queue.push(bytes);
      const size = (parts: readonly Uint8Array[]) => parts.reduce((sum, { length }) => sum + length, 0);
      assert.equal(queue.byteLength, size(pushed) - size(taken));
    }
    while (takeSome(1_000_000));
    assert.equal(queue.byteLength, 0);
    assert.ok(Buffer.concat(taken).equals(Buffer.concat(pushed)));
  }
});

test("SendQueue keeps a million small chunks in few pieces", () => {
  const queue = new SendQueue();
  for (let i = 0; i < 1_000_000; i++) queue.push(new Uint8Array(12));
  assert.equal(queue.byteLength, 12_000_000);
  assert.ok(queue.blockCount < 500, `${queue.blockCount} blocks`);
  queue.clear();
  assert.deepEqual([queue.byteLength, queue.blockCount, queue.first()], [0, 0, undefined]);
});

test("SendQueue wastes little on small chunks between large ones", () => {
  const queue = new SendQueue();
  for (let i = 0; i < 1000; i++) {
    queue.push(new Uint8Array(12));
    queue.push(new Uint8Array(4096));
  }
  let heldBytes = 0;
  for (let first = queue.first(); first !== undefined; first = queue.first()) {
    heldBytes += first.buffer.byteLength;
    queue.take(first.length);
  }
  assert.ok(heldBytes < 5_000_000, `${heldBytes} bytes for 4,108,000`);
});
