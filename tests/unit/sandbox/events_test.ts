/**
 * Streams of events, with no VM: the state database is written as a VM host process would.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AbortedError, InvalidConfigError, Sandbox, type SandboxEvent } from "../../../mod.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { StateStore } from "../../../src/state/state_store.ts";
import { test } from "../../support/harness.ts";
import { StateHome } from "../../support/home/state_home.ts";

/** More than any pid that Linux gives. */
const NO_PROCESS = { pid: 2 ** 30, startTime: "1.none" };

async function collect(stream: ReadableStream<SandboxEvent>): Promise<SandboxEvent[]> {
  const events: SandboxEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

interface EventReader {
  read(): Promise<{ readonly value?: SandboxEvent | undefined }>;
}

/** The next `count` events of a reader. */
async function take(reader: EventReader, count: number): Promise<SandboxEvent[]> {
  const events: SandboxEvent[] = [];
  while (events.length < count) {
    const { value } = await reader.read();
    assert.ok(value !== undefined, "the stream continues");
    events.push(value);
  }
  return events;
}

const summary = (events: readonly SandboxEvent[]) => events.map(({ name, action }) => `${name} ${action}`);

test("Sandbox.events() yields all events in order, and ends", async () => {
  using home = new StateHome();
  const first = home.create("one");
  home.create("two");
  home.state.transition(first, "ready");
  home.state.transition(first, "stopped", { reason: "requested" });
  const events = await collect(Sandbox.events());
  assert.deepEqual(summary(events), [
    "one created",
    "one starting",
    "two created",
    "two starting",
    "one ready",
    "one stopped",
  ]);
  assert.deepEqual(
    events.map(({ sequence }) => sequence),
    [1, 2, 3, 4, 5, 6],
  );
  assert.deepEqual(events[5]?.attributes, { reason: "requested" });
  assert.equal(events[5]?.sandboxId, first.id);
  assert.ok((events[5]?.timestamp.getTime() ?? 0) <= Date.now());
});

test("Sandbox.events() filters by id and by name, and begins where since says", async () => {
  using home = new StateHome();
  const one = home.create("one");
  home.create("two");
  const begin = Date.now();
  home.state.transition(one, "ready");
  assert.deepEqual(summary(await collect(Sandbox.events({ id: one.id }))), [
    "one created",
    "one starting",
    "one ready",
  ]);
  assert.deepEqual(summary(await collect(Sandbox.events({ name: "two" }))), ["two created", "two starting"]);
  assert.deepEqual(summary(await collect(Sandbox.events({ since: 4 }))), ["one ready"]);
  assert.deepEqual(summary(await collect(Sandbox.events({ since: 5 }))), []);
  const sinceThen = await collect(Sandbox.events({ since: new Date(begin) }));
  assert.ok(sinceThen.every(({ timestamp }) => timestamp.getTime() >= begin));
  assert.equal(sinceThen.at(-1)?.action, "ready");
  assert.deepEqual(await collect(Sandbox.events({ since: new Date(Date.now() + 60_000) })), []);
});

test("Sandbox.events() with follow yields what another connection writes after the call", async () => {
  using home = new StateHome();
  home.create("before");
  const readers = [Sandbox.events({ follow: true }), Sandbox.events({ follow: true })].map((stream) =>
    stream.getReader(),
  );
  const reading = readers.map((reader) => take(reader, 3));
  const other = new StateStore(home.path);
  const key = other.claimCreate({
    id: "other-id",
    name: "after",
    configJson: "{}",
    imageDigest: "sha256:none",
    labels: {},
    runDirectory: join(home.path, "none"),
    host: { pid: process.pid, startTime: "" },
  });
  other.transition(key, "stopped");
  other.close();
  for (const events of await Promise.all(reading)) {
    assert.deepEqual(summary(events), ["after created", "after starting", "after stopped"]);
  }
  for (const reader of readers) await reader.cancel();
});

test("Sandbox.events() reports to a slow reader how many events it missed, and continues behind them", async () => {
  using home = new StateHome();
  const key = home.create("busy");
  const reader = Sandbox.events({ since: 0, follow: true }).getReader();
  assert.deepEqual(summary(await take(reader, 1)), ["busy created"]);
  const note = { action: "running", attributes: {} };
  home.state.note(key, Array(1000).fill(note));
  // As the state database drops them itself, only earlier.
  using database = new DatabaseSync(homePaths(home.path).state);
  database.exec("DELETE FROM event WHERE sequence <= 600");
  const [second, missed, next] = await take(reader, 3);
  assert.equal(second?.sequence, 2, "what was read already is still delivered");
  assert.deepEqual([missed?.action, missed?.attributes], ["missed", { count: 598 }]);
  assert.equal(next?.sequence, 601);
  const rest = await take(reader, 401);
  assert.equal(rest.at(-1)?.sequence, 1002);
  await reader.cancel();
});

test("Sandbox.events() of one sandbox misses nothing when others' events are dropped", async () => {
  using home = new StateHome();
  const quiet = home.create("quiet");
  const busy = home.create("busy");
  const reader = Sandbox.events({ id: quiet.id, follow: true }).getReader();
  const next = take(reader, 1);
  home.state.note(busy, Array(50).fill({ action: "running", attributes: {} }));
  home.state.transition(quiet, "ready");
  assert.deepEqual(summary(await next), ["quiet ready"]);
  using database = new DatabaseSync(homePaths(home.path).state);
  database.exec("DELETE FROM event WHERE sequence <= 54");
  home.state.transition(quiet, "stopped");
  assert.deepEqual(summary(await take(reader, 1)), ["quiet stopped"]);
  await reader.cancel();
});

test("Sandbox.events() with follow reports a crash that no process recorded", async () => {
  using home = new StateHome();
  const reader = Sandbox.events({ follow: true }).getReader();
  const key = home.create("victim", { host: NO_PROCESS });
  home.state.transition(key, "ready");
  const events = await take(reader, 4);
  assert.deepEqual(summary(events), ["victim created", "victim starting", "victim ready", "victim crashed"]);
  assert.match(String(events[3]?.attributes["reason"]), /ended without a word/);
  assert.equal((await Sandbox.get("victim")).status, "crashed");
  await reader.cancel();
});

test("Sandbox.events() ends with AbortedError when its signal aborts, and quietly when it is cancelled", async () => {
  using _ = new StateHome();
  const abort = new AbortController();
  const reader = Sandbox.events({ follow: true, signal: abort.signal }).getReader();
  const read = reader.read();
  abort.abort(new Error("enough"));
  await assert.rejects(
    read,
    (error: unknown) => error instanceof AbortedError && error.cause === abort.signal.reason,
  );

  const cancelled = Sandbox.events({ follow: true }).getReader();
  const pending = cancelled.read();
  await cancelled.cancel();
  assert.deepEqual(await pending, { done: true, value: undefined });
});

test("Sandbox.events() refuses options that it does not know or cannot use", () => {
  using _ = new StateHome();
  for (const options of [{ since: -1 }, { since: "yesterday" }, { id: "" }, { foo: 1 }, { follow: 1 }]) {
    // What a caller without types may pass.
    assert.throws(() => Sandbox.events(options as object), InvalidConfigError, JSON.stringify(options));
  }
});

test("Sandbox.events() refuses to begin behind an event that there is not", async () => {
  using home = new StateHome();
  assert.deepEqual(await collect(Sandbox.events({ since: 0 })), []);
  home.create("one");
  for (const follow of [false, true]) {
    assert.throws(
      () => Sandbox.events({ since: 3, follow }),
      (error) => error instanceof InvalidConfigError && error.issues[0]?.field === "since",
    );
  }
});
