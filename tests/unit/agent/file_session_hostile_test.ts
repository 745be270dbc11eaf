/** A guest that lies to a file session. @module */
import assert from "node:assert/strict";
import { encodeFileMessage } from "../../../src/agent/file_codec.ts";
import { FILE_MESSAGES } from "../../../src/agent/file_messages.ts";
import type { FileSession } from "../../../src/agent/file_session.ts";
import { concatBytes, encodeUtf8 } from "../../../src/base/bytes.ts";
import { attributes, FakeFileGuest, type FakeFileSession } from "../../support/guest/fake_files.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const path = encodeUtf8("/file");
const stat = { path, flags: 0 };
const read = { path, flags: 0, offset: 0, length: 10 };
const protocolError = { code: "protocol" };

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

async function ended(session: FileSession, peer: FakeFileSession | undefined): Promise<void> {
  await session.finished;
  assert.equal(session.isOpen, false);
  assert.equal(session.callCount, 0);
  assert.equal(peer?.isClosed, true, "the child was not told to end");
}

const lies: Readonly<Record<string, (peer: FakeFileSession, id: number) => void>> = {
  "of a request that was never made": (peer, id) => peer.answer("attributes", id + 1000, attributes()),
  "of a request whose turn it is not": (peer, id) => peer.answer("attributes", id + 1, attributes()),
  "that belongs to another request": (peer, id) => peer.answer("path", id, { path }),
  "that is a request": (peer, id) => peer.answer("stat", id, stat),
  "of an unknown type": (peer) => peer.sendBytes(Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0, 0x7f)),
  "that announces more than there may be": (peer) => peer.sendBytes(Uint8Array.of(255, 255, 255, 255)),
  "that is shorter than its head": (peer) => peer.sendBytes(Uint8Array.of(4, 0, 0, 0, 0, 0, 0, 0)),
  "with a path that is longer than the message": (peer, id) => {
    const bytes = encodeFileMessage("failed", id, { errno: 2, path });
    new DataView(bytes.buffer).setUint32(13, 0xffff_ffff, true);
    peer.sendBytes(bytes);
  },
};

for (const [what, tell] of Object.entries(lies)) {
  test(`FileSession ends with ProtocolError at an answer ${what}`, async () => {
    const guest = await FakeFileGuest.start((peer, { id }) => {
      if (id === 0) tell(peer, id);
    });
    const session = guest.client.openFiles({ user: "", cwd: "" });
    const calls = [session.call("stat", stat), session.call("stat", stat)];
    for (const call of calls) await assert.rejects(call.result(), protocolError);
    await ended(session, guest.sessions[0]);
    // Other sessions of the connection are not concerned.
    guest.handle = (peer, { id }) => peer.answer("attributes", id, attributes());
    const other = guest.client.openFiles({ user: "", cwd: "" });
    assert.equal((await other.call("stat", stat).result()).name, "attributes");
  });
}

test("FileSession ends with ProtocolError at a second final answer", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    peer.answer("attributes", id, attributes());
    peer.answer("attributes", id, attributes());
  });
  const session = guest.client.openFiles({ user: "", cwd: "" });
  assert.equal((await session.call("stat", stat).result()).name, "attributes");
  await ended(session, guest.sessions[0]);
  await assert.rejects(session.call("stat", stat).result(), protocolError);
});

test("FileSession ends with ProtocolError if it is answered unasked", async () => {
  const guest = await FakeFileGuest.start(() => {});
  const session = guest.client.openFiles({ user: "", cwd: "" });
  await session.started;
  guest.sessions[0]?.answer("done", 0, {});
  await ended(session, guest.sessions[0]);
});

test("FileSession ends with ProtocolError if a read is answered with more than it asked for", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    peer.answer("opened", id, attributes({ size: 3 }));
    peer.answer("data", id, { data: new Uint8Array(10) });
    peer.answer("data", id, { data: new Uint8Array(1) });
  });
  const session = guest.client.openFiles({ user: "", cwd: "" });
  await assert.rejects(session.call("read", read).result(), protocolError);
  await ended(session, guest.sessions[0]);
});

test("FileSession ends with ProtocolError if a file is opened twice", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    for (let i = 0; i < 2; i++) peer.answer("opened", id, attributes());
  });
  const session = guest.client.openFiles({ user: "", cwd: "" });
  await assert.rejects(session.call("read", read).result(), protocolError);
});

test("FileSession holds a flood of answers back, and ends at one that overruns the window", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    for (let i = 0; i < 8; i++) peer.overrun(encodeFileMessage("data", id, { data: new Uint8Array(60_000) }));
  });
  const session = guest.client.openFiles({ user: "", cwd: "" });
  const call = session.call("read", { ...read, length: 1_000_000_000 });
  await assert.rejects(call.result());
  await session.finished;
});

test("FileSession survives random answers: each call settles, and nothing is left", async () => {
  const random = seededRandom("random answers");
  const names = Object.keys(FILE_MESSAGES) as (keyof typeof FILE_MESSAGES)[];
  for (let round = 0; round < 200; round++) {
    const guest = await FakeFileGuest.start((peer, { id }) => {
      for (let i = random.integer(0, 4); i > 0; i--) {
        const choice = random.integer(0, 5);
        if (choice === 0) peer.answer("attributes", id, attributes({ size: random.integer(0, 9) }));
        else if (choice === 1) peer.answer("opened", id, attributes());
        else if (choice === 2) peer.answer("data", id, { data: random.bytes(random.integer(0, 12)) });
        else if (choice === 3) peer.answer("done", id, {});
        else if (choice === 4) peer.sendBytes(randomMessage(id));
        else peer.exit(random.integer(0, 9));
      }
    });
    const randomMessage = (id: number) => {
      const type = random.pick([...names.map((name) => FILE_MESSAGES[name].type), random.integer(0, 255)]);
      const rest = random.bytes(random.pick([0, 1, 4, 20, 100]));
      const head = new Uint8Array(9);
      const view = new DataView(head.buffer);
      view.setUint32(
        0,
        random.pick([5 + rest.length, 5 + rest.length, random.integer(0, 2 ** 32 - 1)]),
        true,
      );
      view.setUint32(4, random.pick([id, id, id + 1]), true);
      view.setUint8(8, type);
      return concatBytes([head, rest]);
    };
    const session = guest.client.openFiles({ user: "", cwd: "" });
    const calls = [session.call("stat", stat), session.call("read", read), session.call("list", { path })];
    const settled = Promise.allSettled(calls.map((call) => call.result()));
    await turn();
    await turn();
    session.close(); // those that the guest leaves without an answer
    await settled;
    await session.finished;
    assert.equal(session.callCount, 0);
  }
});

test("FileSession gives up on a child that ended its answers and does not exit", async () => {
  const guest = await FakeFileGuest.start((peer) => peer.overrun(new Uint8Array(0), 1));
  const session = guest.client.openFiles({ user: "", cwd: "" });
  await session.started;
  const call = session.call("stat", stat);
  await assert.rejects(call.result(), { message: /answers no more$/ });
});
