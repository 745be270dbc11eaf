import assert from "node:assert/strict";
import { ProtocolError } from "../../../src/agent/errors.ts";
import { type DecodedFrame, encodeFrame, type Frame, FrameDecoder } from "../../../src/agent/frame.ts";
import { FRAME_PAYLOAD_BYTES_MAX } from "../../../src/agent/protocol.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

/** What a decoded frame says, once it is sure that its bytes say the same. */
function copyOf({ bytes, stream, type, flags, payload }: DecodedFrame): Frame {
  const frame = { stream, type, flags, payload: payload.slice() };
  assert.deepEqual(new Uint8Array(bytes), encodeFrame(frame));
  return frame;
}

test("FrameDecoder gives back every frame, however the bytes are cut", () => {
  const random = seededRandom("frame");
  const frames: Frame[] = Array.from({ length: 300 }, () => ({
    stream: random.integer(0, 0xffff_ffff),
    type: random.integer(0, 255),
    flags: random.integer(0, 255),
    payload: random.bytes(random.integer(0, random.integer(0, 20) === 0 ? FRAME_PAYLOAD_BYTES_MAX : 300)),
  }));
  const wire = concatBytes(frames.map(encodeFrame));
  const decoder = new FrameDecoder();
  const decoded: Frame[] = [];
  for (let offset = 0; offset < wire.length; ) {
    const size = random.integer(1, random.integer(0, 3) === 0 ? 100_000 : 40);
    for (const frame of decoder.feed(wire.subarray(offset, offset + size))) decoded.push(copyOf(frame));
    offset += size;
  }
  assert.deepEqual(decoded, frames);
  assert.equal(decoder.isBetweenFrames, true);
});

test("FrameDecoder waits at every cut of one frame", () => {
  const wire = encodeFrame({ stream: 7, type: 3, flags: 1, payload: new Uint8Array([1, 2, 3]) });
  for (let cut = 1; cut < wire.length; cut++) {
    const decoder = new FrameDecoder();
    assert.deepEqual([...decoder.feed(wire.subarray(0, cut))], []);
    assert.equal(decoder.isBetweenFrames, false);
    const frames = [...decoder.feed(wire.subarray(cut))].map(copyOf);
    assert.deepEqual(frames, [{ stream: 7, type: 3, flags: 1, payload: new Uint8Array([1, 2, 3]) }]);
  }
});

test("FrameDecoder refuses a payload size over the limit as soon as it sees it", () => {
  const wire = encodeFrame({ stream: 1, type: 1, flags: 0, payload: new Uint8Array(0) });
  new DataView(wire.buffer).setUint32(0, FRAME_PAYLOAD_BYTES_MAX + 1, true);
  assert.throws(() => [...new FrameDecoder().feed(wire)], ProtocolError);
});

test("FrameDecoder refuses reserved bits, also when the header comes in two parts", () => {
  const wire = encodeFrame({ stream: 1, type: 1, flags: 0, payload: new Uint8Array(9) });
  wire[11] = 1;
  const decoder = new FrameDecoder();
  assert.deepEqual([...decoder.feed(wire.subarray(0, 6))], []);
  assert.throws(() => [...decoder.feed(wire.subarray(6))], ProtocolError);
});
