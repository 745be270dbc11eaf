import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileProtocolHeader, protocolHeader } from "../../../scripts/generate_protocol_header.ts";
import { decodeMessage, encodeMessage, encodePayload } from "../../../src/agent/codec.ts";
import { ProtocolError } from "../../../src/agent/errors.ts";
import { FrameDecoder } from "../../../src/agent/frame.ts";
import { MESSAGES, type Message, type MessageName } from "../../../src/agent/protocol.ts";
import { test } from "../../support/harness.ts";

function decode(bytes: Uint8Array): Message | undefined {
  const [frame] = [...new FrameDecoder().feed(bytes)];
  return decodeMessage(frame!);
}

test("decodeMessage() gives back what encodeMessage() wrote", () => {
  const start = {
    flags: 3,
    rows: 24,
    columns: 80,
    cwd: "/tmp",
    user: "",
    argv: ["echo", "žluť", ""],
    env: ["A=1"],
    rlimits: [],
  };
  assert.deepEqual(decode(encodeMessage("execStart", 9, start)), {
    name: "execStart",
    stream: 9,
    flags: 0,
    fields: start,
  });
  const boot = decode(encodeMessage("clock", 0, { seconds: 1_800_000_000, nanoseconds: 999_999_999 }));
  assert.deepEqual(boot?.fields, { seconds: 1_800_000_000, nanoseconds: 999_999_999 });
  assert.deepEqual(decode(encodeMessage("exited", 5, { code: -1, signal: 9 }))?.fields, {
    code: -1,
    signal: 9,
  });
});

test("decodeMessage() refuses every shortened and every lengthened payload", () => {
  const payload = encodePayload("execFailed", { kind: 1, errno: 2, message: "no such file" });
  const frame = { stream: 1, type: MESSAGES.execFailed.type, flags: 0 };
  for (let size = 0; size < payload.length; size++) {
    assert.throws(
      () => decodeMessage({ ...frame, payload: payload.subarray(0, size) }),
      ProtocolError,
      `${size} bytes`,
    );
  }
  assert.throws(() => decodeMessage({ ...frame, payload: Uint8Array.of(...payload, 0) }), ProtocolError);
});

test("decodeMessage() refuses a count of texts that cannot be true before it allocates", () => {
  const payload = encodePayload("execStart", {
    flags: 0,
    rows: 0,
    columns: 0,
    cwd: "",
    user: "",
    argv: [],
    env: [],
    rlimits: [],
  }).slice();
  new DataView(payload.buffer).setUint32(13, 0xffff_ffff, true);
  assert.throws(
    () => decodeMessage({ stream: 1, type: MESSAGES.execStart.type, flags: 0, payload }),
    /texts do not fit/,
  );
});

test("decodeMessage() does not know a type that the table lacks", () => {
  assert.equal(decodeMessage({ stream: 0, type: 0xff, flags: 0, payload: new Uint8Array(0) }), undefined);
});

test("encodeMessage() refuses numbers that do not fit their field", () => {
  assert.throws(() => encodeMessage("ping", 0, { token: 2 ** 32 }), ProtocolError);
  assert.throws(() => encodeMessage("ping", 0, { token: -1 }), ProtocolError);
  assert.throws(() => encodeMessage("ping", 0, { token: 1.5 }), ProtocolError);
  assert.throws(() => encodeMessage("clock", 0, { seconds: 2 ** 53, nanoseconds: 0 }), ProtocolError);
});

test("MESSAGES gives every message a number of its own", () => {
  const types = Object.values(MESSAGES).map(({ type }) => type);
  assert.equal(new Set(types).size, types.length);
  const names: MessageName[] = ["stdin", "stdout", "stderr", "output"];
  for (const name of names) assert.deepEqual(Object.keys(MESSAGES[name].fields), ["data"]);
});

test("guest/protocol.h is what the table generates", () => {
  const onDisk = readFileSync(new URL("../../../guest/protocol.h", import.meta.url), "utf8");
  assert.equal(onDisk, protocolHeader());
});

test("guest/file_protocol.h is what the table generates", () => {
  const onDisk = readFileSync(new URL("../../../guest/file_protocol.h", import.meta.url), "utf8");
  assert.equal(onDisk, fileProtocolHeader());
});
