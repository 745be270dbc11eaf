/** What a mount holds while its guest, or its provider, does not go on. @module */
import assert from "node:assert/strict";
import { mountOpening } from "../../../src/agent/exec_opening.ts";
import { ExecSession } from "../../../src/agent/exec_session.ts";
import { FrameFlag, type Message } from "../../../src/agent/protocol.ts";
import { Opcode } from "../../../src/mount/fuse/constants.ts";
import type { FileSystemProvider } from "../../../src/mount/provider.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { ServedMount } from "../../../src/mount/serve.ts";
import type { ByteConnection } from "../../../src/platform/byte_connection.ts";
import { test } from "../../support/harness.ts";
import { bodyOf, type Field, requestOf } from "../../support/mount/fuse_requests.ts";

const MiB = 1024 * 1024;
const ROOT = 1n;

/** A mount whose guest is the test: it sends what it wants, and gives no credit for replies. */
class SilentGuest {
  readonly mount: ServedMount;
  readonly #session: ExecSession;
  #nextUnique = 1n;

  constructor(provider: FileSystemProvider, unmountMs?: number) {
    const connection: ByteConnection = {
      closed: new Promise(() => {}),
      onData: () => {},
      send: () => {},
      drained: async () => {},
      destroy: () => {},
      setReferenced: () => {},
    };
    const opening = mountOpening({ target: "/m", isReadonly: false, isNoExec: false });
    this.#session = new ExecSession(1, 1, opening, connection, (promise) => promise);
    this.mount = new ServedMount("/m", this.#session, provider, {}, unmountMs);
  }

  request(opcode: number, node: bigint, ...fields: readonly Field[]): Uint8Array {
    return requestOf(opcode, this.#nextUnique++, node, bodyOf(...fields));
  }

  /** Sends requests in one frame; returns when nothing more comes of it. */
  async send(...requests: readonly Uint8Array[]): Promise<void> {
    const data = Uint8Array.from(requests.flatMap((request) => [...request]));
    this.#session.receive({ name: "stdout", stream: 1, flags: 0, fields: { data } } as unknown as Message);
    await new Promise((resolve) => setTimeout(resolve));
  }

  /** Ends the channel of requests, and not the others. */
  async endRequests(): Promise<void> {
    const fields = { data: new Uint8Array(0) };
    const end = { name: "stdout", stream: 1, flags: FrameFlag.end, fields };
    this.#session.receive(end as unknown as Message);
    await new Promise((resolve) => setTimeout(resolve));
  }

  /** The connection to the sandbox is gone. */
  disconnect(): void {
    this.#session.disconnect(new Error("gone"));
  }
}

test("ServedMount takes one request after the other, and none while too much waits for the guest", async () => {
  const memory = new MemoryFileSystem({ file: new Uint8Array(MiB) });
  let reads = 0;
  const provider: FileSystemProvider = {
    attributes: (path) => memory.attributes(path),
    list: (path) => memory.list(path),
    open: async (path, options) => {
      const file = await memory.open(path, options);
      const read = (offset: number, length: number) => {
        reads++;
        return file.read(offset, length);
      };
      return { ...file, read };
    },
  };
  const guest = new SilentGuest(provider);
  await guest.send(guest.request(Opcode.lookup, ROOT, "file"));
  await guest.send(guest.request(Opcode.open, 2n, 0, 0));
  const read = () => guest.request(Opcode.read, 2n, 1n, 0n, MiB);
  await guest.send(...Array.from({ length: 1000 }, read));
  assert.ok(reads >= 16 && reads <= 18, `${reads} MiB of replies are held`);
  guest.disconnect();
  await guest.mount.ended;
  assert.ok(reads <= 18, "and no more at its end");
});

test("ServedMount bounds the number of small replies that wait", async () => {
  let asked = 0;
  const provider: FileSystemProvider = {
    attributes: () => {
      asked++;
      throw Object.assign(new Error(), { code: "EACCES" });
    },
    list: () => [],
    open: () => assert.fail(),
  };
  const guest = new SilentGuest(provider);
  for (let frame = 0; frame < 26; frame++)
    await guest.send(...Array.from({ length: 1000 }, () => guest.request(Opcode.lookup, ROOT, "a")));
  // A window of replies is on its way, beside those that wait. What else was sent waits as it came.
  assert.ok(asked > 16_384 && asked <= 16_384 + 4096 + 2, `${asked} replies`);
  guest.disconnect();
  await guest.mount.ended;
});

test("ServedMount ends with its connection while more waits for the provider than it takes", async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on("unhandledRejection", note);
  try {
    let closed = 0;
    const memory = new MemoryFileSystem({ file: "content" });
    const provider: FileSystemProvider = {
      attributes: (path) => memory.attributes(path),
      list: (path) => memory.list(path),
      open: async (path, options) => ({
        ...(await memory.open(path, options)),
        read: () => new Promise(() => {}),
        close: () => void closed++,
      }),
      close: () => {
        throw new Error("a provider that cannot even close");
      },
    };
    const guest = new SilentGuest(provider);
    await guest.send(guest.request(Opcode.lookup, ROOT, "file"));
    await guest.send(guest.request(Opcode.open, 2n, 0, 0));
    await guest.send(...Array.from({ length: 20 }, () => guest.request(Opcode.read, 2n, 1n, 0n, MiB)));
    guest.disconnect();
    await guest.mount.ended;
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(closed, 1);
    assert.deepEqual(unhandled, []);
  } finally {
    process.off("unhandledRejection", note);
  }
});

test("ServedMount closes what is open once no request can come, whatever else the guest keeps open", async () => {
  const memory = new MemoryFileSystem({ file: "content" });
  let open = 0;
  const provider: FileSystemProvider = {
    attributes: (path) => memory.attributes(path),
    list: (path) => memory.list(path),
    open: (path, options) => {
      open++;
      return { ...memory.open(path, options), close: () => void open-- };
    },
  };
  const guest = new SilentGuest(provider);
  await guest.send(guest.request(Opcode.lookup, ROOT, "file"));
  await guest.send(guest.request(Opcode.open, 2n, 0, 0));
  assert.equal(open, 1);
  await guest.endRequests();
  assert.equal(open, 0);
  guest.disconnect();
  await guest.mount.ended;
});

test("ServedMount.unmount() fails if the guest does not answer in time", async () => {
  const guest = new SilentGuest(new MemoryFileSystem(), 10);
  await assert.rejects(guest.mount.unmount(), { code: "mountFailed", errno: 110 });
  guest.disconnect();
  await guest.mount.ended;
});
