/** What counts as activity of a sandbox, beside the requests themselves. @module */
import assert from "node:assert/strict";
import type { FileMessage } from "../../../../src/agent/file_messages.ts";
import { SandboxFsOps } from "../../../../src/sandbox/files/fs_ops.ts";
import { keepActive } from "../../../../src/sandbox/files/keep_active.ts";
import { attributes, FakeFileGuest, type FakeFileSession } from "../../../support/guest/fake_files.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

/** A guest that answers when the test says so, and the requests that it has. */
async function slowGuest() {
  const asked: [FakeFileSession, FileMessage][] = [];
  const guest = await FakeFileGuest.start((peer, request) => asked.push([peer, request]));
  const touchedTwice = Promise.withResolvers<void>();
  let touches = 0;
  guest.client.touch = async () => {
    if (++touches === 2) touchedTwice.resolve();
    return touches;
  };
  const fs = new SandboxFsOps({ connect: async () => guest.client }, { user: "", cwd: "/" });
  return { asked, fs, touchedTwice: touchedTwice.promise };
}

test("SandboxFsOps.copy() and copyToHost() count as activity while the guest works on them", async () => {
  using scratch = temporaryDirectory();
  const inside = await slowGuest();
  const copying = inside.fs.copy("/a", "/b");
  await inside.touchedTwice;
  for (const [peer, { id }] of inside.asked) peer.answer("done", id, {});
  await copying;

  const out = await slowGuest();
  const copyingOut = out.fs.copyToHost("/a", `${scratch.path}/a`);
  await out.touchedTwice;
  for (const [peer, { id }] of out.asked) {
    peer.answer("entry", id, { path: new Uint8Array(0), target: new Uint8Array(0), ...attributes() });
    peer.answer("done", id, {});
  }
  assert.equal((await copyingOut).files, 1);
});

/** Resolves after some more intervals. */
async function intervals(): Promise<void> {
  const passed = Promise.withResolvers<void>();
  let count = 0;
  const touch = async () => {
    if (++count === 3) passed.resolve();
    return count;
  };
  using _active = keepActive({ touch });
  await passed.promise;
}

test("keepActive() asks once at a time, and no more once it was refused or is disposed of", async () => {
  const answer = Promise.withResolvers<number>();
  let [refused, released] = [0, 0];
  const touchRefused = () => {
    refused++;
    return answer.promise;
  };
  using _active = keepActive({ touch: touchRefused });
  keepActive({ touch: async () => ++released })[Symbol.dispose]();
  await intervals();
  assert.equal(refused, 1);
  answer.reject(new Error("the connection has ended"));
  await intervals();
  assert.deepEqual([refused, released], [1, 0]);
});
