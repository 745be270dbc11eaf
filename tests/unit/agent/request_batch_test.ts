import assert from "node:assert/strict";
import { FRAME_PAYLOAD_BYTES_MAX } from "../../../src/agent/protocol.ts";
import { RequestBatch } from "../../../src/agent/request_batch.ts";
import { concatBytes, decodeUtf8, encodeUtf8 } from "../../../src/base/bytes.ts";
import { test } from "../../support/harness.ts";

function record(result = true) {
  const sent: string[] = [];
  const batch = new RequestBatch(async (parts) => {
    sent.push(decodeUtf8(concatBytes(parts)));
    return result;
  });
  return { batch, sent };
}

test("RequestBatch sends what is urgent at once, behind what has gathered", async () => {
  const { batch, sent } = record();
  const first = batch.write([encodeUtf8("a")], false);
  assert.deepEqual(sent, []);
  const second = batch.write([encodeUtf8("b")], true);
  assert.deepEqual(sent, ["ab"]);
  assert.deepEqual(await Promise.all([first, second]), [true, true]);
});

test("RequestBatch sends together what one turn of the event loop writes", async () => {
  const { batch, sent } = record(false);
  const results = ["a", "b", "c"].map((text) => batch.write([encodeUtf8(text)], false));
  assert.deepEqual(await Promise.all(results), [false, false, false]);
  assert.deepEqual(sent, ["abc"]);
  await batch.write([encodeUtf8("d")], false);
  assert.deepEqual(sent, ["abc", "d"]);
});

test("RequestBatch gathers no more than a frame", async () => {
  const { batch, sent } = record();
  const sizes = [FRAME_PAYLOAD_BYTES_MAX / 2, FRAME_PAYLOAD_BYTES_MAX / 2, 3, FRAME_PAYLOAD_BYTES_MAX - 2, 1];
  await Promise.all(sizes.map((size) => batch.write([new Uint8Array(size)], false)));
  assert.deepEqual(
    sent.map(({ length }) => length),
    [FRAME_PAYLOAD_BYTES_MAX, 3, FRAME_PAYLOAD_BYTES_MAX - 1],
  );
});

test("RequestBatch passes on why nothing could be sent", async () => {
  const batch = new RequestBatch(() => Promise.reject(new Error("gone")));
  await assert.rejects(batch.write([encodeUtf8("a")], true), /gone/);
});
