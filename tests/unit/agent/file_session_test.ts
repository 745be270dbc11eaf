import assert from "node:assert/strict";
import { FILE_DATA_BYTES_MAX, type FileMessage } from "../../../src/agent/file_messages.ts";
import type { FileSession } from "../../../src/agent/file_session.ts";
import { STREAM_WINDOW_BYTES } from "../../../src/agent/protocol.ts";
import { encodeUtf8 } from "../../../src/base/bytes.ts";
import { attributes, FakeFileGuest } from "../../support/guest/fake_files.ts";
import { test } from "../../support/harness.ts";

const ROOT = { user: "", cwd: "/" };
const path = encodeUtf8("/file");
const stat = { path, flags: 0 };
const read = { path, flags: 0, offset: 0, length: 1_000_000_000 };

/** Lets everything that is under way in memory arrive. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

async function sessionOf(guest: FakeFileGuest): Promise<FileSession> {
  const session = guest.client.openFiles(ROOT);
  await session.started;
  return session;
}

/** The size that a file has is the number in its path. */
function sizeFromPath(request: FileMessage): number {
  assert(request.name === "stat");
  return Number(new TextDecoder().decode(request.fields.path));
}

test("FileSession.call() pipelines requests, and gives each its answer", async () => {
  const guest = await FakeFileGuest.start((peer, request) =>
    peer.answer("attributes", request.id, attributes({ size: sizeFromPath(request) })),
  );
  const session = guest.client.openFiles({ user: "someone", cwd: "/srv" });
  assert.equal(await session.started, 7);
  assert.deepEqual(guest.sessions[0]?.opened, { user: "someone", cwd: "/srv" });
  const calls = Array.from({ length: 1000 }, (_, size) =>
    session.call("stat", { path: encodeUtf8(String(size)), flags: 0 }),
  );
  for (const [size, call] of calls.entries()) {
    const answer = await call.result();
    assert(answer.name === "attributes");
    assert.equal(answer.fields.size, size);
    assert.equal(await call.next(), undefined);
  }
  assert.equal(session.callCount, 0);
  session.close();
  await session.finished;
  assert(guest.sessions[0]?.isClosed);
});

test("FileCall.next() rejects with the errno and the path of a failed answer, and later calls go on", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) =>
    id === 0
      ? peer.answer("failed", id, { errno: 13, path: encodeUtf8("/above") })
      : peer.answer("attributes", id, attributes()),
  );
  const session = await sessionOf(guest);
  const [failed, good] = [session.call("stat", stat), session.call("stat", stat)];
  await assert.rejects(failed.result(), { name: "FileAnswerError", errno: 13, path: encodeUtf8("/above") });
  await assert.rejects(failed.next(), { errno: 13 });
  assert.equal((await good.result()).name, "attributes");
});

test("FileCall.next() gives bytes that stay until it is called again, however messages were cut", async () => {
  const sizes = [1, FILE_DATA_BYTES_MAX, 3, 70_000, FILE_DATA_BYTES_MAX, 0, 9];
  const guest = await FakeFileGuest.start((peer, { id }) => {
    peer.answer("opened", id, attributes());
    for (const [index, size] of sizes.entries())
      peer.answer("data", id, { data: new Uint8Array(size).fill(index) });
    peer.answer("done", id, {});
  });
  const session = await sessionOf(guest);
  const call = session.call("read", read);
  assert.equal((await call.next())?.name, "opened");
  const received = sizes.map(() => 0); // content comes in pieces, as it was cut on its way
  let answer = await call.next();
  for (; answer?.name === "data"; answer = await call.next()) {
    const { data } = answer.fields;
    const copy = data.slice();
    await turn(); // time for what follows to arrive, and to be written over it
    assert.deepEqual(data, copy);
    const index = data[0];
    if (index === undefined) continue;
    assert(data.every((byte) => byte === index));
    received[index] = (received[index] ?? 0) + data.length;
  }
  assert.deepEqual(received, sizes);
  assert.equal(answer?.name, "done");
  assert.equal(await call.next(), undefined);
});

test("FileCall that is not read keeps the window closed, and its session holds no more than that", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    peer.answer("opened", id, attributes());
    for (let i = 0; i < 40; i++) peer.answer("data", id, { data: new Uint8Array(FILE_DATA_BYTES_MAX) });
    peer.answer("done", id, {});
  });
  const session = await sessionOf(guest);
  const call = session.call("read", read);
  await turn();
  const [peer] = guest.sessions;
  const sent = 40 * FILE_DATA_BYTES_MAX - (peer?.waitingBytes ?? 0);
  assert(sent <= STREAM_WINDOW_BYTES + FILE_DATA_BYTES_MAX, `${sent} bytes were taken`);
  let bytes = 0;
  for (let answer = await call.next(); answer !== undefined; answer = await call.next())
    if (answer.name === "data") bytes += answer.fields.data.length;
  assert.equal(bytes, 40 * FILE_DATA_BYTES_MAX);
  assert.equal(peer?.waitingBytes, 0);
});

test("FileCall.discard() drops its answers, so that the calls behind it go on", async () => {
  const guest = await FakeFileGuest.start((peer, request) => {
    if (request.name === "stat") return peer.answer("attributes", request.id, attributes({ size: 5 }));
    peer.answer("opened", request.id, attributes());
    for (let i = 0; i < 20; i++)
      peer.answer("data", request.id, { data: new Uint8Array(FILE_DATA_BYTES_MAX) });
    peer.answer("done", request.id, {});
  });
  const session = await sessionOf(guest);
  const waiting = session.call("read", read);
  const lazy = session.call("read", read);
  const last = session.call("stat", stat);
  await waiting.next();
  const next = waiting.next();
  waiting.discard();
  assert.notEqual((await next)?.name, "done");
  lazy.discard();
  assert.equal((await last.result()).name, "attributes");
  assert.equal(await waiting.next(), undefined);
});

test("FileCall.send() carries the content of a writeOpen, and says when no more is taken", async () => {
  const received: string[] = [];
  const guest = await FakeFileGuest.start((peer, { name, id }) => {
    received.push(name);
    if (name === "writeOpen") peer.answer("opened", id, attributes());
    if (name === "writeEnd") peer.answer("done", id, {});
  });
  const session = await sessionOf(guest);
  const call = session.call("writeOpen", { path, flags: 0, mode: 0, offset: 0, modifiedNs: 0n });
  assert.equal((await call.next())?.name, "opened");
  for (let i = 0; i < 5; i++)
    assert.equal(await call.send("writeData", { data: new Uint8Array(FILE_DATA_BYTES_MAX) }), true);
  assert.equal(await call.send("writeHole", { size: 4096 }), true);
  assert.equal(await call.send("writeEnd", {}), true);
  assert.equal((await call.result()).name, "done");
  assert.equal(await call.send("writeData", { data: path }), false);
  const content = Array.from({ length: 5 }, () => "writeData");
  assert.deepEqual(received, ["writeOpen", ...content, "writeHole", "writeEnd"]);
});

test("FileCall.send() waits while the guest takes nothing", async () => {
  const guest = await FakeFileGuest.start((peer) => {
    peer.isReading = false;
  });
  const session = await sessionOf(guest);
  const call = session.call("writeOpen", { path, flags: 0, mode: 0, offset: 0, modifiedNs: 0n });
  let sent = 0;
  const all = Promise.all(
    Array.from({ length: 10 }, async () => {
      await call.send("writeData", { data: new Uint8Array(FILE_DATA_BYTES_MAX) });
      sent++;
    }),
  );
  await turn();
  assert(sent < 3, `${sent} messages went into a guest that reads none`);
  guest.handle = () => {};
  guest.sessions[0]?.resume();
  await all;
  assert.equal(sent, 10);
});

test("FileSession that cannot be opened rejects its calls with the reason", async () => {
  const guest = await FakeFileGuest.start(() => {});
  guest.refusal = { kind: 12, errno: 0, message: "the sandbox is paused" };
  const session = guest.client.openFiles(ROOT);
  const reason = { name: "FileSessionFailedError", kind: "paused", message: "the sandbox is paused" };
  await assert.rejects(session.call("stat", stat).result(), reason);
  await assert.rejects(session.started, reason);
  await session.finished;
  assert.equal(session.isOpen, false);
  await assert.rejects(session.call("stat", stat).result(), reason);
});

test("FileSession that a pause ends later rejects its calls with the reason", async () => {
  const guest = await FakeFileGuest.start((peer) =>
    peer.refuse({ kind: 12, errno: 0, message: "the sandbox is paused" }),
  );
  const session = await sessionOf(guest);
  const calls = [session.call("stat", stat), session.call("stat", stat)];
  for (const call of calls) await assert.rejects(call.result(), { kind: "paused" });
  await session.finished;
});

test("FileSession says how the child ended if it dies under its calls", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    if (id === 0) peer.answer("attributes", id, attributes());
    if (id === 2) peer.exit(0, 9);
  });
  const session = await sessionOf(guest);
  const calls = [session.call("stat", stat), session.call("stat", stat), session.call("stat", stat)];
  assert.equal((await calls[0]?.result())?.name, "attributes");
  for (const call of calls.slice(1)) await assert.rejects(call.result(), { message: /killed by signal 9$/ });
  assert.equal(session.isOpen, false);
  await assert.rejects(session.call("stat", stat).result(), { message: /killed by signal 9$/ });
});

test("FileSession whose child reads no more is ended", async () => {
  const guest = await FakeFileGuest.start((peer) => peer.breakInput(32));
  const session = await sessionOf(guest);
  const call = session.call("stat", stat);
  await turn();
  assert.equal(await call.send("writeEnd", {}), false);
  await assert.rejects(call.result(), { name: "FileSessionFailedError" });
  assert(guest.sessions[0]?.isClosed);
});

test("FileSession.close() rejects calls under way, also one whose answers are not taken", async () => {
  const guest = await FakeFileGuest.start((peer, { id, name }) => {
    if (name !== "read") return;
    peer.answer("opened", id, attributes());
    peer.answer("data", id, { data: path });
  });
  const session = await sessionOf(guest);
  const calls = [session.call("read", read), session.call("stat", stat)];
  await turn();
  const why = new Error("enough");
  session.close(why);
  assert.equal((await calls[0]?.next())?.name, "opened");
  for (const call of calls) await assert.rejects(call.result(), why);
  await session.finished;
  assert.equal(session.callCount, 0);
});

test("FileSession ends with the connection", async () => {
  const guest = await FakeFileGuest.start(() => {});
  const session = await sessionOf(guest);
  const call = session.call("stat", stat);
  guest.connection.destroy();
  await assert.rejects(call.result(), { code: "agentDisconnected" });
  await session.finished;
});

test("FileSession keeps this process alive only while a caller waits for a call", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    if (id === 1) peer.answer("attributes", id, attributes());
  });
  const { connection } = guest;
  const isReferenced = () => connection.peer?.isReferenced;
  const session = await sessionOf(guest);
  await turn();
  assert.equal(isReferenced(), false);
  const call = session.call("watch", { path, flags: 0 });
  assert.equal(isReferenced(), false); // it may be left as it is
  const waiting = assert.rejects(call.result());
  assert.equal(isReferenced(), true);
  session.close();
  await waiting;
  await session.finished;
  await turn();
  assert.equal(isReferenced(), false);
});
