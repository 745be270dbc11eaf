import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { FileMessage } from "../../../../src/agent/file_messages.ts";
import { AbortedError } from "../../../../src/base/errors.ts";
import { PendingRequests } from "../../../../src/sandbox/files/pending_requests.ts";
import { FailedAt } from "../../../../src/sandbox/files/run_copy.ts";
import { FakeFileGuest, type FakeFileSession } from "../../../support/guest/fake_files.ts";
import { filesOf } from "../../../support/guest/native_files.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";

const REQUESTS_MAX = 512;
const ENOENT = 2;

test("PendingRequests.add() waits for the oldest once too many requests, or bytes, are under way", async () => {
  for (const [bytes, count] of [
    [0, REQUESTS_MAX],
    [256 * 1024, 4],
  ] as const) {
    const requests = new PendingRequests();
    const answers = Array.from({ length: count + 1 }, () => Promise.withResolvers<void>());
    for (const { promise } of answers.slice(0, -1)) await requests.add("path", bytes, promise);
    let isAdded = false;
    const added = requests.add("path", bytes, answers[count]!.promise).then(() => {
      isAdded = true;
    });
    await new Promise((resolve) => setTimeout(resolve));
    assert.equal(isAdded, false);
    answers[0]!.resolve();
    await added;
    for (const { resolve } of answers) resolve();
    await requests.all();
  }
});

test("PendingRequests rejects with the first failure, and says what it was about", async () => {
  const requests = new PendingRequests();
  await requests.add("good", 0, Promise.resolve());
  const bad = Promise.withResolvers<void>();
  await requests.add("bad", 0, bad.promise);
  bad.reject(new Error("no"));
  const isOfBad = (error: unknown) => error instanceof FailedAt && error.path === "bad";
  await assert.rejects(requests.all(), isOfBad);
  await assert.rejects(requests.add("later", 0, Promise.resolve()), isOfBad);
});

test("copyFromHost() sends no more than a guest that answers nothing is to hold", async () => {
  using directory = temporaryDirectory();
  const source = join(directory.path, "source");
  mkdirSync(source);
  for (let number = 0; number < 2 * REQUESTS_MAX; number++) writeFileSync(join(source, `${number}`), "x");
  let writes = 0;
  const full = Promise.withResolvers<void>();
  const answer = (session: FakeFileSession, { id, name }: FileMessage) => {
    if (name === "stat") session.answer("failed", id, { errno: ENOENT, path: new Uint8Array(0) });
    else if (name === "mkdir") session.answer("done", id, {});
    else if (name === "write" && ++writes > REQUESTS_MAX) full.resolve();
  };
  const guest = await FakeFileGuest.start(answer);
  const controller = new AbortController();
  const copying = filesOf(guest.client, "/").copyFromHost(source, "/target", { signal: controller.signal });
  await full.promise;
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve));
  assert.equal(writes, REQUESTS_MAX + 1);
  controller.abort();
  await assert.rejects(copying, AbortedError);
  guest.client.close();
});
