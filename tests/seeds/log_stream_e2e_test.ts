/**
 * Port of the known SDK's `log_stream_e2e.rs`: what a program in a real VM writes arrives in the logs with the right
 * source, session and cursor. Names are kept.
 *
 * @module
 */
import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { type LogEntry, Sandbox } from "../../mod.ts";
import { discard, homeTest } from "../support/vm/vm.ts";

/** How long a follower may take to see what was written. */
const FOLLOW_TIMEOUT_MS = 30_000;

/** After exec has returned, `logs()` has what it wrote. */
homeTest("logs_captures_exec_stdout_from_running_sandbox", async ({ image }) => {
  const name = "log-stream-e2e-snapshot";
  const marker = "log-e2e-snapshot-marker-9f3a";
  const sandbox = await create(name, image);
  await sandbox.exec("sh", ["-c", `echo ${marker}`]);
  const entries = await sandbox.logs();
  await end(sandbox);

  const matched = entries.filter((entry) => entry.text().includes(marker));
  assert.equal(matched.length, 1, `saw ${entries.length} entries`);
  assert.equal(matched[0]?.source, "stdout");
  assert.notEqual(matched[0]?.sessionId, null);
});

/** A follower that was there first wakes at the new entry. */
homeTest("log_stream_follow_catches_live_writes", async ({ image }) => {
  const name = "log-stream-e2e-follow";
  const marker = "log-e2e-follow-marker-7a4b";
  const sandbox = await create(name, image);
  await using stream = await sandbox.logStream({ since: new Date(), follow: true });
  await sandbox.exec("sh", ["-c", `echo ${marker}`]);
  const found = await Promise.race([
    find(stream, marker),
    delay(FOLLOW_TIMEOUT_MS, undefined, { ref: false }),
  ]);
  await end(sandbox);

  assert.ok(found, `no entry in ${FOLLOW_TIMEOUT_MS} ms`);
  assert.equal(found.source, "stdout");
});

/** A stream that is resumed at an entry's cursor has what came after it, and not the entry. */
homeTest("log_stream_resume_from_cursor_excludes_replayed_entries", async ({ image }) => {
  const name = "log-stream-e2e-resume";
  const markerA = "log-e2e-resume-marker-A-3f9d";
  const markerB = "log-e2e-resume-marker-B-8c2e";
  const sandbox = await create(name, image);

  await sandbox.exec("sh", ["-c", `echo ${markerA}`]);
  const snapshot = await sandbox.logs();
  const cursorAtA = snapshot.findLast((entry) => entry.text().includes(markerA))?.cursor;
  assert.ok(cursorAtA);

  await sandbox.exec("sh", ["-c", `echo ${markerB}`]);
  const resumed: LogEntry[] = [];
  for await (const entry of await sandbox.logStream({ fromCursor: cursorAtA })) resumed.push(entry);
  await end(sandbox);

  const texts = resumed.map((entry) => entry.text()).join("");
  assert.ok(texts.includes(markerB), texts);
  assert.ok(!texts.includes(markerA), texts);
});

function create(name: string, image: string): Promise<Sandbox> {
  return Sandbox.builder(name).image(image).cpus(1).memory(512).replace().create();
}

async function end(sandbox: Sandbox): Promise<void> {
  await sandbox.stopAndWait();
  await discard(sandbox.name);
}

async function find(stream: AsyncIterable<LogEntry>, marker: string): Promise<LogEntry> {
  for await (const entry of stream) if (entry.text().includes(marker)) return entry;
  return assert.fail(`the stream ended without ${marker}`);
}
