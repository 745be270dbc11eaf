import assert from "node:assert/strict";
import { connect as connectTls } from "node:tls";
import { type FirstBytes, FirstBytesReader } from "../../../../src/egress/flows/first_bytes.ts";
import { clientHelloFor } from "../../../support/egress/client_hello.ts";
import { listen } from "../../../support/egress/core.ts";
import { test } from "../../../support/harness.ts";

function read(...chunks: readonly (string | Uint8Array)[]): FirstBytes {
  const reader = new FirstBytesReader();
  let found: FirstBytes = { kind: "incomplete", canBeOther: false };
  for (const chunk of chunks)
    found = reader.push(typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk);
  return found;
}

test("FirstBytesReader finds the name that a real TLS client shows", async () => {
  const hello = Promise.withResolvers<Buffer>();
  await using server = await listen((socket) => socket.once("data", (chunk: Buffer) => hello.resolve(chunk)));
  const client = connectTls({
    host: "127.0.0.1",
    port: server.port,
    servername: "a.example",
    rejectUnauthorized: false,
  });
  client.on("error", () => {});
  assert.deepEqual(read(await hello.promise), { kind: "named", name: "a.example" });
  client.destroy();
});

test("FirstBytesReader waits for all of a hello or a head, and no longer", () => {
  const hello = clientHelloFor("a.example");
  assert.equal(read(hello.subarray(0, -1)).kind, "incomplete");
  assert.deepEqual(read(hello.subarray(0, -1), hello.subarray(-1)), { kind: "named", name: "a.example" });
  for (const part of ["", "G", "GET", "GET /", "GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: a.example\r\n"])
    assert.deepEqual(read(part), { kind: "incomplete", canBeOther: !/^$|HTTP/.test(part) }, part);
  assert.deepEqual(read("GET / HTTP/1.1\r\nHost: A.example:80\r\n\r\nbody"), {
    kind: "named",
    name: "a.example",
  });
  assert.deepEqual(read("\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n"), {
    kind: "named",
    name: "a.example",
  });
});

test("FirstBytesReader lets other protocols be", () => {
  const postgres = Buffer.of(0, 0, 0, 8, 4, 210, 22, 47);
  for (const bytes of [
    postgres,
    "SSH-2.0-OpenSSH_9\r\n",
    "PING\r\n",
    "EHLO me\r\n",
    "GET /\r\n",
    "*1\r\n$4\r\n",
    "<?xml version='1.0'?><stream:stream",
  ])
    assert.equal(read(bytes).kind, "other", String(bytes));
  assert.equal(read("x".repeat(8 * 1024)).kind, "other");
});

test("FirstBytesReader finds fault with what two readers could take for different names", () => {
  const head = (...lines: readonly string[]) => `${lines.join("\r\n")}\r\n\r\n`;
  for (const text of [
    head("GET / HTTP/1.1", "Host: a.example", "Host: b.example"),
    head("GET http://b.example/ HTTP/1.1", "Host: a.example"),
    head("GET / HTTP/1.1", "Host : a.example"),
    head("GET / HTTP/1.1", "Host: a.example", " b.example"),
    head("GET / HTTP/1.1"),
    head("GET /\rHTTP/1.1", "Host: b.example"),
    head("GET\v/\fHTTP/1.1", "Host: b.example"),
    head("CONNECT a.example:443 HTTP/1.1", "Host: a.example"),
    `GET / HTTP/1.1\r\nX: ${"x".repeat(70_000)}`,
  ])
    assert.equal(read(text).kind, "invalid", text.slice(0, 80));
});

test("FirstBytesReader waits for the name behind a long target, and finds fault with one that has no end", () => {
  for (const size of [8 * 1024, 9_000, 20_000]) {
    const line = `GET /${"x".repeat(size)}`;
    assert.deepEqual(read(line), { kind: "incomplete", canBeOther: true });
    const rest = " HTTP/1.1\r\nHost: a.example\r\n\r\n";
    assert.deepEqual(read(line, rest), { kind: "named", name: "a.example" });
  }
  assert.equal(read(`POST http://${"x".repeat(70_000)}`).kind, "invalid");
});

test("FirstBytesReader finds fault with a hello of SSL 2, which shows no name", () => {
  const hello = Buffer.concat([
    Buffer.of(0x80, 46, 1, 3, 3, 0, 3, 0, 0, 0, 32, 0, 0, 0x2f),
    Buffer.alloc(32, 1),
  ]);
  assert.equal(read(hello).kind, "invalid");
  assert.equal(read(...[...hello].map((byte) => Buffer.of(byte))).kind, "invalid");
});
