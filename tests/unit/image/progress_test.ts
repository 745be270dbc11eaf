import assert from "node:assert/strict";
import {
  countBytes,
  PROGRESS_STEP_BYTES,
  type PullProgress,
  PullProgressStream,
} from "../../../src/image/progress.ts";
import { test } from "../../support/harness.ts";

function downloaded(layerIndex: number, downloadedBytes: number): PullProgress {
  return { kind: "layerDownloadProgress", layerIndex, digest: "d", downloadedBytes, totalBytes: 100 };
}

test("PullProgressStream keeps one pending event of each kind and layer: the newest", async () => {
  const stream = new PullProgressStream();
  for (let round = 0; round <= 100; round++) {
    stream.push(downloaded(0, round));
    stream.push(downloaded(1, round));
  }
  stream.push({ kind: "complete", reference: "r", layerCount: 2 });
  stream.close();
  const events = await Array.fromAsync(stream.readable);
  assert.deepEqual(events, [
    downloaded(0, 100),
    downloaded(1, 100),
    { kind: "complete", reference: "r", layerCount: 2 },
  ]);
});

test("PullProgressStream gives events to a reader that waits, and ends when it is cancelled", async () => {
  const stream = new PullProgressStream();
  const reader = stream.readable.getReader();
  const waiting = reader.read();
  stream.push(downloaded(0, 1));
  assert.deepEqual((await waiting).value, downloaded(0, 1));
  await reader.cancel();
  stream.push(downloaded(0, 2)); // has no effect, and does not throw
});

test("PullProgressStream gives one event at a time to recv(), and null at the end", async () => {
  const stream = new PullProgressStream();
  const waiting = stream.readable.recv();
  stream.push(downloaded(0, 1));
  assert.deepEqual(await waiting, downloaded(0, 1));
  stream.push(downloaded(0, 2));
  stream.close();
  assert.deepEqual(await stream.readable.recv(), downloaded(0, 2));
  assert.equal(await stream.readable.recv(), null);
});

test("countBytes() reports the start, each step and the end", async () => {
  const chunk = new Uint8Array(PROGRESS_STEP_BYTES / 2);
  async function* source(): AsyncGenerator<Uint8Array> {
    for (let index = 0; index < 5; index++) yield chunk;
  }
  const reports: number[] = [];
  for await (const _ of countBytes(source(), (bytes) => reports.push(bytes)));
  const step = PROGRESS_STEP_BYTES;
  assert.deepEqual(reports, [0, step, 2 * step, 2.5 * step]);
});
