import assert from "node:assert/strict";
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { WATCHER_IDLE_MS, watchDirectory } from "../../../src/platform/file_watch.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const LONG_MS = 20_000;
const never = new AbortController().signal;

test("watchDirectory() wakes everybody who waits on a change", async () => {
  using directory = temporaryDirectory();
  using first = watchDirectory(directory.path);
  using second = watchDirectory(directory.path);
  const woken = [first, second].map((watch) => watch.changed(watch.version, LONG_MS, never));
  writeFileSync(join(directory.path, "file"), "x");
  await Promise.all(woken);
  assert.ok(first.version > 0);
  assert.equal(first.version, second.version);
});

test("changed() returns at once for a change that came after the version was read", async () => {
  using directory = temporaryDirectory();
  using watch = watchDirectory(directory.path);
  const seen = watch.version;
  const woken = watch.changed(seen, LONG_MS, never);
  writeFileSync(join(directory.path, "file"), "x");
  await woken;
  await watch.changed(seen, LONG_MS, never);
});

test("changed() misses no change that comes right after another", async () => {
  using directory = temporaryDirectory();
  using watch = watchDirectory(directory.path);
  const path = join(directory.path, "file");
  for (let change = 0; change < 200; change++) {
    const seen = watch.version;
    appendFileSync(path, "x"); // at once after the notification of the one before
    await watch.changed(seen, LONG_MS / 4, never);
    assert.ok(watch.version > seen, `change ${change} went unnoticed`);
  }
});

test("changed() ends after its time, and on abort", async () => {
  using directory = temporaryDirectory();
  using watch = watchDirectory(directory.path);
  await watch.changed(watch.version, 1, never);
  const stop = new AbortController();
  const waiting = watch.changed(watch.version, LONG_MS, stop.signal);
  stop.abort();
  await waiting;
  await watch.changed(watch.version, LONG_MS, stop.signal);
});

test("watchDirectory() of a directory that is absent polls instead of failing", async () => {
  using directory = temporaryDirectory();
  using watch = watchDirectory(join(directory.path, "absent"));
  await watch.changed(watch.version, LONG_MS, never);
});

test("watchDirectory() wakes those who still wait when the last user leaves", async () => {
  using directory = temporaryDirectory();
  const watch = watchDirectory(directory.path);
  const waiting = watch.changed(watch.version, LONG_MS, never);
  watch[Symbol.dispose]();
  watch[Symbol.dispose]();
  await waiting;
});

test("changed() misses no change though nobody looked or waited for so long that the watcher was closed", async () => {
  using directory = temporaryDirectory();
  using watch = watchDirectory(directory.path);
  const seen = watch.version;
  await delay(1.5 * WATCHER_IDLE_MS);
  appendFileSync(join(directory.path, "file"), "while it is closed");
  await watch.changed(seen, LONG_MS, never);
  const next = watch.version;
  assert.ok(next > seen);
  appendFileSync(join(directory.path, "file"), "while it is open again");
  await watch.changed(next, LONG_MS, never);
  assert.ok(watch.version > next);
});
