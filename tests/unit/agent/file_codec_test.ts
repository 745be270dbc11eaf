/** Messages of a file session, in whatever pieces they come. @module */
import assert from "node:assert/strict";
import { ProtocolError } from "../../../src/agent/errors.ts";
import { encodeFileMessage, FileMessageDecoder } from "../../../src/agent/file_codec.ts";
import {
  FILE_DATA_BYTES_MAX,
  FILE_MESSAGE_BYTES_MAX,
  FILE_MESSAGES,
} from "../../../src/agent/file_messages.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { test } from "../../support/harness.ts";

const PATH = Uint8Array.of(0x2f, 0xff, 0x0a);

interface Seen {
  readonly name: string;
  readonly id: number;
  readonly fields: object;
}

/** Content comes in pieces: they are joined here. */
function add(seen: Seen[], message: Seen): void {
  const last = seen.at(-1);
  if (message.name !== "data" || last?.name !== "data" || last.id !== message.id) seen.push(message);
  else {
    const [a, b] = [last, message].map(({ fields }) => (fields as { readonly data: Uint8Array }).data);
    seen[seen.length - 1] = { ...last, fields: { data: concatBytes([a!, b!]) } };
  }
}

test("FileMessageDecoder gives the same messages whatever the chunks are", () => {
  for (const size of [1, 2, 3, 4, 5, 9, 10, 1000, 65536, Number.MAX_SAFE_INTEGER]) {
    const content = new Uint8Array(size < 1000 ? 5000 : FILE_DATA_BYTES_MAX).map((_, i) => i);
    const bytes = concatBytes([
      encodeFileMessage("stat", 7, { path: PATH, flags: 0 }),
      encodeFileMessage("data", 8, { data: content }),
      encodeFileMessage("done", 0xffff_ffff, {}),
    ]);
    const decoder = new FileMessageDecoder();
    const seen: Seen[] = [];
    for (let offset = 0; offset < bytes.length; offset += size)
      for (const { name, id, fields } of decoder.feed(bytes.subarray(offset, offset + size)))
        add(seen, { name, id, fields: structuredClone(fields) });
    assert.ok(decoder.isBetweenMessages);
    assert.deepEqual(seen, [
      { name: "stat", id: 7, fields: { path: PATH, flags: 0 } },
      { name: "data", id: 8, fields: { data: content } },
      { name: "done", id: 0xffff_ffff, fields: {} },
    ]);
  }
});

test("FileMessageDecoder refuses sizes and types that cannot be", () => {
  const sizes = [0, 4, FILE_MESSAGE_BYTES_MAX + 1, 0xffff_ffff];
  for (const size of sizes) {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setUint32(0, size, true);
    assert.throws(() => [...new FileMessageDecoder().feed(bytes)], ProtocolError, String(size));
  }
  const unknown = encodeFileMessage("done", 1, {});
  unknown[8] = 0xee;
  assert.throws(() => [...new FileMessageDecoder().feed(unknown)], ProtocolError);
});

test("encodeFileMessage() refuses what no message holds", () => {
  const data = new Uint8Array(FILE_MESSAGE_BYTES_MAX);
  assert.throws(() => encodeFileMessage("data", 1, { data }), ProtocolError);
  assert.throws(() => encodeFileMessage("data", -1, { data: PATH }), ProtocolError);
});

test("FILE_MESSAGES gives every message a number of its own", () => {
  const numbers = Object.values(FILE_MESSAGES).map(({ type }) => type);
  assert.equal(new Set(numbers).size, numbers.length);
});
