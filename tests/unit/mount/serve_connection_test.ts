/** A file system that is served over a connection of its own. @module */
import assert from "node:assert/strict";
import { Opcode } from "../../../src/mount/fuse/constants.ts";
import type { FileSystemProvider } from "../../../src/mount/provider.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { serveConnection } from "../../../src/mount/serve_connection.ts";
import type { UnixConnection } from "../../../src/platform/unix_connection.ts";
import { test } from "../../support/harness.ts";
import { MemoryConnection } from "../../support/memory_connection.ts";
import { bodyOf, requestOf } from "../../support/mount/fuse_requests.ts";

const ROOT = 1n;

function getattr(unique: bigint): Uint8Array {
  return requestOf(Opcode.getattr, unique, ROOT, bodyOf(0, 0, 0n));
}

/** The numbers of the requests that were answered, as they come. */
function uniquesOf(bytes: Uint8Array): bigint[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const found: bigint[] = [];
  for (let offset = 0; offset < bytes.length; offset += view.getUint32(offset, true))
    found.push(view.getBigUint64(offset + 8, true));
  return found;
}

test("serveConnection() answers requests however they are cut, and closes the provider at the end", async () => {
  const memory = new MemoryFileSystem({ file: "x" });
  const isClosed = Promise.withResolvers<void>();
  const provider: FileSystemProvider = {
    attributes: (path) => memory.attributes(path),
    list: (path) => memory.list(path),
    open: async (path, options) => memory.open(path, options),
    close: () => isClosed.resolve(),
  };
  const [host, guest] = MemoryConnection.pair(7); // chunks of seven bytes
  const served = serveConnection(host, provider, { isReadonly: true });
  let received = new Uint8Array(0);
  const all = Promise.withResolvers<void>();
  guest.onData((chunk) => {
    received = Uint8Array.from([...received, ...chunk]);
    if (received.length >= 2 * 120) all.resolve(); // of 16 and 104 bytes each
  });
  guest.send(getattr(1n));
  guest.send(getattr(2n));
  await all.promise;
  assert.deepEqual(uniquesOf(received), [1n, 2n]);
  guest.destroy();
  await served;
  await isClosed.promise;
});

test("serveConnection() ends a connection on which no request comes", async () => {
  const [host, guest] = MemoryConnection.pair();
  const served = serveConnection(host, new MemoryFileSystem(), {});
  guest.send(new Uint8Array(64)); // a request of no size
  await guest.closed;
  await served;
});

test("serveConnection() stops taking requests while the guest takes no replies, and pauses the connection", async () => {
  let handle: (chunk: Uint8Array) => void = () => {};
  const sent: Uint8Array[] = [];
  const ended = Promise.withResolvers<void>();
  const states: string[] = [];
  const connection: UnixConnection = {
    closed: ended.promise,
    get bufferedBytes() {
      return sent.reduce((sum, { length }) => sum + length, 0);
    },
    onData: (given) => {
      handle = given;
    },
    send: (bytes) => sent.push(bytes),
    drained: () => ended.promise,
    pause: () => states.push("pause"),
    resume: () => states.push("resume"),
    end: () => {},
    destroy: () => ended.resolve(),
    setReferenced: () => {},
  };
  const served = serveConnection(connection, new MemoryFileSystem(), {});
  const many = Uint8Array.from(Array.from({ length: 8192 }, (_, i) => [...getattr(BigInt(i + 1))]).flat());
  handle(many);
  for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setTimeout(resolve));
  assert.ok(sent.length > 4096 && sent.length < 4200, String(sent.length));
  for (let received = 0; received < 5 * 1024 * 1024; received += many.length) handle(many);
  assert.equal(states.at(-1), "pause");
  connection.destroy();
  await served;
});
