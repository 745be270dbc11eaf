/** The frames of a program's life. @module */
import assert from "node:assert/strict";
import { encodeMessage } from "../../../src/agent/codec.ts";
import { type Frame, FrameDecoder } from "../../../src/agent/frame.ts";
import type { MessageFields, MessageName } from "../../../src/agent/protocol.ts";

const START = { flags: 0, rows: 0, columns: 0, cwd: "", user: "", argv: ["x"], env: [], rlimits: [] };

/** A message as the frame that it is on the wire. */
export function frame<N extends MessageName>(
  name: N,
  stream: number,
  fields: MessageFields<N>,
  flags = 0,
): Frame {
  const [decoded] = [...new FrameDecoder().feed(encodeMessage(name, stream, fields, flags))];
  assert.ok(decoded !== undefined);
  return decoded;
}

export const start = (stream: number, flags = 0) => frame("execStart", stream, START, flags);
export const exited = (stream: number, code: number, signal = 0) => frame("exited", stream, { code, signal });
export const closed = (stream: number) => frame("closed", stream, {});
