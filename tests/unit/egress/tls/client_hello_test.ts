/** The reader of ClientHellos, held against those of openssl, curl and the runtime's own TLS. @module */
import assert from "node:assert/strict";
import { connect } from "node:tls";
import {
  CLIENT_HELLO_BYTES_MAX,
  type ClientHello,
  ClientHelloReader,
  type ClientHelloState,
} from "../../../../src/egress/tls/client_hello.ts";
import { recordHello } from "../../../support/egress/hello_recorder.ts";
import { test } from "../../../support/harness.ts";
import { seededRandom } from "../../../support/random.ts";

function read(bytes: Uint8Array, pieceBytes = bytes.length): ClientHelloState {
  const reader = new ClientHelloReader();
  for (let start = 0; start < bytes.length; start += pieceBytes)
    reader.push(bytes.subarray(start, start + pieceBytes));
  return reader.state;
}

function helloOf(bytes: Uint8Array, pieceBytes?: number): ClientHello {
  const state = read(bytes, pieceBytes);
  assert.ok(state.kind === "hello", JSON.stringify(state));
  return state.hello;
}

/** `hello` in records of at most `recordBytes`. */
function refragmented(hello: Uint8Array, recordBytes: number): Uint8Array {
  const message = hello.subarray(5);
  const records: number[] = [];
  for (let start = 0; start < message.length; start += recordBytes) {
    const part = message.subarray(start, start + recordBytes);
    records.push(0x16, 3, 1, part.length >> 8, part.length & 0xff, ...part);
  }
  return Uint8Array.from(records);
}

/** A hello with these extensions, or without the block of extensions. */
function helloWith(extensions: readonly (readonly [type: number, content: readonly number[]])[] | undefined) {
  const u16 = (value: number) => [value >> 8, value & 0xff];
  const block = extensions?.flatMap(([type, content]) => [...u16(type), ...u16(content.length), ...content]);
  const body = [3, 3, ...new Array(32).fill(7), 0, 0, 2, 0x13, 0x01, 1, 0];
  if (block !== undefined) body.push(...u16(block.length), ...block);
  const message = [1, 0, ...u16(body.length), ...body];
  return Uint8Array.from([0x16, 3, 1, ...u16(message.length), ...message]);
}

function serverName(...names: string[]): readonly [number, readonly number[]] {
  const list = names.flatMap((name) => {
    const bytes = [...Buffer.from(name, "latin1")];
    return [0, bytes.length >> 8, bytes.length & 0xff, ...bytes];
  });
  return [0, [list.length >> 8, list.length & 0xff, ...list]];
}

test("ClientHelloReader understands openssl s_client", async () => {
  const hello = await recordHello((port) => [
    "openssl",
    ["s_client", "-connect", `127.0.0.1:${port}`, "-servername", "Api.Example.COM", "-alpn", "h2,http/1.1"],
  ]);
  assert.deepEqual(helloOf(hello), {
    serverName: "api.example.com",
    alpnProtocols: ["h2", "http/1.1"],
    hasEncryptedHello: false,
  });
  assert.deepEqual(helloOf(hello, 1), helloOf(hello));
  assert.deepEqual(helloOf(refragmented(hello, 1)), helloOf(hello));
  assert.deepEqual(helloOf(refragmented(hello, 7), 3), helloOf(hello));
});

test("ClientHelloReader understands openssl s_client of TLS 1.2 without a name", async () => {
  const hello = await recordHello((port) => [
    "openssl",
    ["s_client", "-connect", `127.0.0.1:${port}`, "-noservername", "-tls1_2"],
  ]);
  assert.deepEqual(helloOf(hello), { serverName: undefined, alpnProtocols: [], hasEncryptedHello: false });
});

test("ClientHelloReader understands curl", async () => {
  const hello = await recordHello((port) => [
    "curl",
    ["-s", "--connect-to", `files.example:443:127.0.0.1:${port}`, "https://files.example/"],
  ]);
  const { serverName: name, alpnProtocols } = helloOf(hello);
  assert.equal(name, "files.example");
  assert.deepEqual(alpnProtocols, ["h2", "http/1.1"]);
});

test("ClientHelloReader understands node:tls of this runtime", async () => {
  const hello = await recordHello((port) => {
    const socket = connect({
      port,
      host: "127.0.0.1",
      servername: "a.b.example",
      ALPNProtocols: ["http/1.1"],
    });
    socket.on("error", () => {}); // the recorder hangs up
    return undefined;
  });
  const { serverName: name, alpnProtocols } = helloOf(hello);
  assert.equal(name, "a.b.example");
  assert.deepEqual(alpnProtocols, ["http/1.1"]);
});

test("ClientHelloReader keeps every byte for the next reader", async () => {
  const reader = new ClientHelloReader();
  const hello = helloWith([serverName("a.example")]);
  reader.push(hello.subarray(0, 9));
  reader.push(hello.subarray(9));
  reader.push(Uint8Array.of(1, 2, 3));
  assert.deepEqual([...reader.bytes], [...hello, 1, 2, 3]);
});

test("ClientHelloReader rejects what is not TLS at the first byte that shows it", () => {
  assert.equal(read(new TextEncoder().encode("G")).kind, "notTls");
  assert.equal(read(Uint8Array.of(0x16)).kind, "incomplete");
  assert.equal(read(Uint8Array.of(0x16, 2)).kind, "notTls");
  assert.equal(read(new Uint8Array()).kind, "incomplete");
});

test("ClientHelloReader sees an encrypted hello", () => {
  assert.equal(helloOf(helloWith([[0xfe0d, [0, 0, 1]]])).hasEncryptedHello, true);
  assert.equal(helloOf(helloWith(undefined)).hasEncryptedHello, false);
});

test("ClientHelloReader gives a name in one form", () => {
  assert.equal(helloOf(helloWith([serverName("A.Example.")])).serverName, "a.example");
  assert.equal(
    helloOf(helloWith([serverName("_x.xn--bcher-kva.example")])).serverName,
    "_x.xn--bcher-kva.example",
  );
});

test("ClientHelloReader refuses what could be understood in two ways", () => {
  const problems = {
    twoNames: helloWith([serverName("a.example", "b.example")]),
    twoExtensions: helloWith([serverName("a.example"), serverName("b.example")]),
    address: helloWith([serverName("127.0.0.1")]),
    hexAddress: helloWith([serverName("0x7f000001")]),
    nul: helloWith([serverName("a.example\0.evil")]),
    space: helloWith([serverName("a example")]),
    empty: helloWith([[0, [0, 0]]]),
    unknownType: helloWith([[0, [0, 4, 9, 0, 1, 97]]]),
    longLabel: helloWith([serverName(`${"a".repeat(64)}.example`)]),
    emptyAlpn: helloWith([[16, [0, 1, 0]]]),
    pastTheEnd: helloWith([[16, [0, 9, 1, 97]]]),
    alert: Uint8Array.of(0x16, 3, 1, 0, 1, 2),
    emptyRecord: Uint8Array.of(0x16, 3, 1, 0, 0),
    mixedRecords: Uint8Array.of(0x16, 3, 1, 0, 2, 1, 0, 0x15, 3, 1, 0, 2),
  };
  const kinds = Object.entries(problems).map(([name, bytes]) => [name, read(bytes).kind]);
  assert.deepEqual(
    kinds,
    Object.keys(problems).map((name) => [name, "invalid"]),
  );
});

test("ClientHelloReader holds no more than its limit", () => {
  const length = CLIENT_HELLO_BYTES_MAX + 1;
  const claim = Uint8Array.of(0x16, 3, 1, 0, 4, 1, length >> 16, (length >> 8) & 0xff, length & 0xff);
  assert.equal(read(claim).kind, "invalid");
  // Records that are never enough.
  const reader = new ClientHelloReader();
  const record = Uint8Array.of(0x16, 3, 1, 0, 1, 1);
  reader.push(Uint8Array.of(0x16, 3, 1, 0, 4, 1, 0, 0x7f, 0));
  while (reader.state.kind === "incomplete") reader.push(record);
  assert.equal(reader.state.kind, "invalid");
  assert.ok(reader.bytes.length <= CLIENT_HELLO_BYTES_MAX + record.length);
});

test("ClientHelloReader comes to the same in any pieces", () => {
  const random = seededRandom("hello pieces");
  for (let round = 0; round < 300; round++) {
    const hello = helloWith([[16, [0, 3, 2, 104, 50]], serverName("a.example")]);
    hello[random.integer(0, hello.length - 1)]! ^= 1 << random.integer(0, 7);
    const records = refragmented(hello, random.integer(1, 90));
    assert.deepEqual(read(records, random.integer(1, 30)), read(records, 1));
  }
});
