/** Messages that follow each other on a connection, in whatever pieces. @module */
import assert from "node:assert/strict";
import type { Framing, HeaderField } from "../../../../src/egress/http/message.ts";
import { MessageReader } from "../../../../src/egress/http/message_reader.ts";
import { HEAD_BYTES_MAX, parseRequestHead } from "../../../../src/egress/http/parse_head.ts";
import { malformed } from "../../../../src/egress/http/problem.ts";
import { MemoryChannel } from "../../../support/egress/memory_channel.ts";
import { test } from "../../../support/harness.ts";

const readerOf = (text: string, pieceBytes?: number) =>
  new MessageReader(MemoryChannel.of(text, pieceBytes), malformed);

async function bodyOf(reader: MessageReader, framing: Framing, onTrailers?: (fields: HeaderField[]) => void) {
  let text = "";
  for await (const piece of reader.readBody(framing, onTrailers))
    text += Buffer.from(piece).toString("latin1");
  return text;
}

const CONVERSATION =
  "\r\nPOST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" +
  "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n" +
  "POST /3 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n006\r\n world\r\n0\r\nX-Sum: 1\r\n\r\n" +
  "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n";

for (const pieceBytes of [1, 2, 3, 7, 50, 1000])
  test(`MessageReader takes requests apart in pieces of ${pieceBytes} bytes`, async () => {
    const reader = readerOf(CONVERSATION, pieceBytes);
    const seen: string[] = [];
    let trailers: HeaderField[] = [];
    for (let bytes = await reader.readHead(); bytes !== undefined; bytes = await reader.readHead()) {
      const { target, framing } = parseRequestHead(bytes);
      seen.push(
        `${target} ${await bodyOf(reader, framing, (fields) => {
          trailers = fields;
        })}`,
      );
    }
    assert.deepEqual(seen, ["/1 hello", "/2 ", "/3 hello world", "/4 "]);
    assert.deepEqual(trailers, [{ name: "X-Sum", value: "1" }]);
  });

for (const [what, text] of Object.entries({
  "a bare line feed": "GET / HTTP/1.1\nHost: a\n\n",
  "a bare line feed at the end": "GET / HTTP/1.1\r\nHost: a\r\n\n",
  "a line feed at the start": "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "three empty lines": "\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "a head that is cut off": "GET / HTTP/1.1\r\nHost: a\r\n",
}))
  test(`MessageReader.readHead() refuses ${what}`, async () => {
    await assert.rejects(readerOf(text).readHead(), { status: 400 });
  });

test("MessageReader.readHead() refuses a head one byte over the limit", async () => {
  const head = (size: number) => `GET / HTTP/1.1\r\nX: ${"a".repeat(size - 23)}\r\n\r\n`;
  assert.equal((await readerOf(head(HEAD_BYTES_MAX), 1000).readHead())?.length, HEAD_BYTES_MAX);
  await assert.rejects(readerOf(head(HEAD_BYTES_MAX + 1), 1000).readHead(), { status: 431 });
});

for (const [what, text] of Object.entries({
  "no number": "x\r\nhello\r\n0\r\n\r\n",
  "a sign": "+5\r\nhello\r\n0\r\n\r\n",
  "a prefix": "0x5\r\nhello\r\n0\r\n\r\n",
  "a space before the number": " 5\r\nhello\r\n0\r\n\r\n",
  "a space behind the number": "5 \r\nhello\r\n0\r\n\r\n",
  "an enormous number": "fffffffffffffff\r\nhello\r\n0\r\n\r\n",
  "a chunk that is longer": "4\r\nhello\r\n0\r\n\r\n",
  "a chunk that is shorter": "6\r\nhello\r\n0\r\n\r\n",
  "bare line feeds": "5\nhello\n0\n\n",
  "an end without a line": "5\r\nhello\r\n0\r\n",
  "no end": "5\r\nhello\r\n",
  "a folded trailer": "0\r\nX: a\r\n b\r\n\r\n",
  "a line without end": `5;${"x".repeat(2000)}\r\nhello\r\n0\r\n\r\n`,
}))
  test(`MessageReader.readBody() refuses chunks with ${what}`, async () => {
    await assert.rejects(bodyOf(readerOf(text, 3), { kind: "chunked" }), { status: 400 });
  });

test("MessageReader.readBody() refuses a body that is cut off", async () => {
  await assert.rejects(bodyOf(readerOf("hell"), { kind: "length", bytes: 5 }), { status: 400 });
});

test("MessageReader.look() leaves what it has seen, also for one that reads at the same time", async () => {
  const reader = readerOf("hello", 2);
  const [isThere, first] = await Promise.all([reader.look(), reader.readSome()]);
  assert.equal(isThere, true);
  assert.equal(Buffer.from(first!).toString(), "he");
  assert.equal(await bodyOf(reader, { kind: "untilClose" }), "llo");
});
