/** The wire changes only together with its version. @module */
import assert from "node:assert/strict";
import { decodeMessage, encodeMessage } from "../../../src/agent/codec.ts";
import { FrameDecoder } from "../../../src/agent/frame.ts";
import {
  type FieldType,
  MESSAGES,
  type MessageDefinition,
  type MessageFields,
  type MessageName,
  PROTOCOL_VERSION,
} from "../../../src/agent/protocol.ts";
import { test } from "../../support/harness.ts";
import { sample } from "./samples.ts";

/** A value of each type, at its edge where it has one. */
const VALUES: Readonly<Record<FieldType, number | bigint | string | readonly string[] | Uint8Array>> = {
  u8: 0xfe,
  u16: 0xfffe,
  u32: 0xffff_fffe,
  u64: Number.MAX_SAFE_INTEGER,
  i32: -2,
  i64: -2n,
  text: "grüß",
  blob: Uint8Array.of(0xff, 0, 0x2f),
  texts: ["a=b", ""],
  bytes: Uint8Array.of(0, 1, 255),
};
const STREAM = 0x0100_0002;
const FLAGS = 1;

/** Each message with its frame, as the release wrote it that gave the wire this version. */
const frozen = new Map(
  sample(`wire_${PROTOCOL_VERSION}.txt`)
    .trim()
    .split("\n")
    .map((line) => line.split(" ") as [string, string]),
);

test(`encodeMessage() and decodeMessage() keep the frames of wire version ${PROTOCOL_VERSION}`, () => {
  for (const [name, hex] of frozen) {
    const definition: MessageDefinition | undefined = MESSAGES[name as MessageName];
    assert.ok(definition !== undefined, `${name} is gone: raise PROTOCOL_VERSION`);
    const fields = valuesOf(name as MessageName);
    assert.equal(hexOf(encodeMessage(name as MessageName, STREAM, fields, FLAGS)), hex, name);
    const [frame] = [...new FrameDecoder().feed(Uint8Array.from(Buffer.from(hex, "hex")))];
    assert.ok(frame !== undefined, name);
    assert.deepEqual(decodeMessage(frame), { name, stream: STREAM, flags: FLAGS, fields });
  }
});

test("every message of the wire has its frame among the samples", () => {
  const missing = Object.keys(MESSAGES)
    .filter((name) => !frozen.has(name))
    .map(
      (name) =>
        `${name} ${hexOf(encodeMessage(name as MessageName, STREAM, valuesOf(name as MessageName), FLAGS))}`,
    );
  assert.deepEqual(missing, [], `add these lines to wire_${PROTOCOL_VERSION}.txt`);
});

function valuesOf<N extends MessageName>(name: N): MessageFields<N> {
  const definition: MessageDefinition = MESSAGES[name];
  const entries = Object.entries(definition.fields).map(([field, type]) => [field, VALUES[type]]);
  // The table gives each field its type, and VALUES has one of each.
  return Object.fromEntries(entries) as MessageFields<N>;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
