/**
 * The real log against the model: a writer that rotates, crashes and boots again under a clock that jumps, and readers
 * that pause, stop and resume, in random order. After each step, what a reader got is exactly what the model says.
 *
 * `MSB_TEST_SEED` replays a run: the same steps in the same order. Only in `race` steps, where files are rotated while a
 * reader looks, does the machine decide what falls between what, and there any order has to come to the same.
 * `MSB_LOGS_STEPS` makes a run longer.
 */
import assert from "node:assert/strict";
import { appendFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { settlesWithin } from "../../src/base/wait.ts";
import { MissedRotationError } from "../../src/logs/errors.ts";
import { openExecLogWriter } from "../../src/logs/exec_log_writer.ts";
import { type LogStream, openLogStream } from "../../src/logs/log_stream.ts";
import { readLogDirectorySnapshot } from "../../src/logs/read_logs.ts";
import type { LogEntry } from "../../src/logs/types.ts";
import { temporaryDirectory, test } from "../support/harness.ts";
import { seededRandom } from "../support/random.ts";
import {
  LogModel,
  MAX_FILE_BYTES,
  MODEL_SANDBOX,
  type ModelEntry,
  type ModelSource,
  ROTATED_FILES_MAX,
} from "./logs_model.ts";
import { type Expected, type ExpectedLoss, ModelReader } from "./logs_model_reader.ts";

/** Deno needs several times as long for a file operation. */
const STEPS = Number(process.env["MSB_LOGS_STEPS"] ?? ("Bun" in globalThis ? 100_000 : 25_000));
const READERS_MAX = 6;
/** About two files full. */
const RACE_RECORDS_MAX = 16;
const SOURCE_SETS: readonly (readonly ModelSource[])[] = [
  ["stdout", "stderr"],
  ["stderr"],
  ["system"],
  ["stdout", "stderr", "system"],
];

/** A real reader beside its model. */
interface Reader {
  stream: LogStream;
  readonly model: ModelReader;
  last: { readonly real: LogEntry; readonly model: ModelEntry } | undefined;
}

class Run {
  readonly #random = seededRandom("logs model");
  readonly #directory: string;
  readonly #logs: { directory: string; sandboxId: string; isTerminal: () => Promise<boolean> };
  #isOver = false;
  readonly #model = new LogModel();
  #writer: ReturnType<typeof openExecLogWriter> | undefined;
  readonly #readers: Reader[] = [];
  readonly #stopped = new Set<Reader>();
  #written = 0;
  readonly counts = { entries: 0, missed: 0, crashes: 0, resumed: 0, snapshots: 0 };

  constructor(directory: string) {
    this.#directory = directory;
    this.#logs = { directory, sandboxId: MODEL_SANDBOX, isTerminal: () => Promise.resolve(this.#isOver) };
    this.#boot();
  }

  async step(): Promise<void> {
    const dice = this.#random.integer(1, 1000);
    if (this.#writer === undefined && dice <= 300) return this.#boot();
    if (dice <= 550) return this.#append();
    if (dice <= 590) return this.#moveClock();
    if (dice <= 600) return this.#crash();
    if (dice <= 603) return this.#crashInRotation();
    if (dice <= 610) return this.#snapshot();
    if (dice <= 620) return this.#race();
    if (dice <= 640) return this.#open();
    if (dice <= 670) return this.#stopOrResume();
    return this.#read();
  }

  /** Everybody reads to the end, and then there is nothing more. */
  async close(): Promise<void> {
    if (this.#writer === undefined) this.#boot();
    for (const reader of this.#stopped) {
      if (reader.last !== undefined)
        await this.#openAt(reader, reader.last.real.cursor, reader.model.resume(reader.last.model));
    }
    for (const reader of this.#readers) while (reader.model.hasNext) await this.#readOne(reader);
    this.#isOver = true;
    const ends = await Promise.all(this.#readers.map(({ stream }) => withLimit(stream.recv())));
    for (const end of ends) assert.equal(end, null);
    this.#writer?.close();
  }

  #boot(): void {
    this.#writer = openExecLogWriter({
      directory: this.#directory,
      sandboxId: MODEL_SANDBOX,
      maxFileBytes: MAX_FILE_BYTES,
      rotatedFilesMax: ROTATED_FILES_MAX,
      clock: () => this.#model.nowMs,
    });
    this.#model.boot();
    this.#writer.system("--- sandbox started ---");
    this.#model.append("system", null, "--- sandbox started ---\n");
  }

  #newText(): string {
    return `${this.#written++} "\\" ${"x".repeat(this.#random.integer(0, 120))}\n`;
  }

  #append(source: ModelSource = this.#random.pick(["stdout", "stdout", "stderr"] as const)): void {
    if (this.#writer === undefined) return;
    const sessionId = source === "system" ? null : this.#random.integer(1, 3);
    const text = this.#newText();
    if (sessionId === null || source === "system") this.#writer.system(text);
    else this.#writer.append(source, sessionId, Buffer.from(text));
    this.#model.append(source, sessionId, text);
  }

  /** Mostly on, sometimes a little back, rarely so far back that a new file begins. */
  #moveClock(): void {
    const dice = this.#random.integer(1, 100);
    if (dice <= 90) this.#model.nowMs += this.#random.integer(1, 50);
    else if (dice <= 97) this.#model.nowMs -= this.#random.integer(1, 1000);
    else this.#model.nowMs -= 60_000 + this.#random.integer(1, 100_000);
  }

  /** The writer dies in the middle of a write. */
  #crash(): void {
    const text = this.#newText();
    const lineBytes = LogModel.line(this.#model.stamp().stampMs, "stdout", 1, text).length;
    if (this.#writer === undefined || this.#model.needsRotation(lineBytes)) return;
    this.#kill();
    const part = this.#model.crash("stdout", 1, text, this.#random.integer(0, lineBytes));
    appendFileSync(join(this.#directory, "exec.log"), part);
  }

  /** The writer dies after some of the renames of a rotation. */
  #crashInRotation(): void {
    if (this.#writer === undefined) return;
    this.#kill();
    for (const [from, to] of this.#model.shift(this.#random.integer(0, ROTATED_FILES_MAX))) {
      renameSync(this.#path(from), this.#path(to));
    }
  }

  #kill(): void {
    this.#writer?.close(); // it holds nothing back, so this only gives back its descriptor
    this.#writer = undefined;
    this.counts.crashes++;
  }

  #path(index: number): string {
    return join(this.#directory, index === 0 ? "exec.log" : `exec.log.${index}`);
  }

  async #snapshot(): Promise<void> {
    this.counts.snapshots++;
    const sources = this.#random.pick(SOURCE_SETS);
    const since = this.#random.pick([undefined, this.#someTime()]);
    const until = this.#random.pick([undefined, this.#someTime()]);
    const tail = this.#random.pick([undefined, this.#random.integer(0, 30)]);
    const { entries, cursor } = await readLogDirectorySnapshot(this.#logs, { sources, since, until, tail });
    const { retained } = this.#model;
    const wanted = retained
      .flatMap((file) => file.entries)
      .filter((entry) => entry.complete && sources.includes(entry.source))
      .filter(({ stampMs }) => stampMs >= (since ?? -Infinity) && stampMs < (until ?? Infinity));
    const expected = wanted
      .slice(Math.max(0, wanted.length - (tail ?? Infinity)))
      .sort((a, b) => a.stampMs - b.stampMs);
    assert.deepEqual(
      entries.map((entry) => entry.text()),
      expected.map(({ text }) => text),
    );
    const newest = retained.at(-1);
    if (newest === undefined || this.#readers.length >= READERS_MAX) return;
    const model = new ModelReader(this.#model, new Set(sources));
    model.resumeAt(newest.generation, newest.entries.filter(({ complete }) => complete).length, 0);
    this.#readers.push({ stream: await this.#stream(model, cursor), model, last: undefined });
  }

  /** A new reader, from the beginning or from some time; in place of another one if there are many. */
  async #open(): Promise<void> {
    if (this.#readers.length >= READERS_MAX) {
      const [old] = this.#readers.splice(this.#random.integer(0, READERS_MAX - 1), 1);
      this.#stopped.delete(old!);
      await old!.stream.cancel();
    }
    const since = this.#random.pick([Number.NEGATIVE_INFINITY, this.#someTime()]);
    const model = new ModelReader(this.#model, new Set(this.#random.pick(SOURCE_SETS)), since);
    this.#readers.push({ stream: await this.#stream(model, undefined), model, last: undefined });
  }

  /** Stops a reader, and resumes it where it was; what happens in between is up to the steps that come between. */
  async #stopOrResume(): Promise<void> {
    const reader = this.#someReader();
    if (reader === undefined || reader.last === undefined) return;
    if (!this.#stopped.delete(reader)) {
      await reader.stream.cancel();
      this.#stopped.add(reader);
      return;
    }
    this.counts.resumed++;
    const expected = reader.model.resume(reader.last.model);
    await this.#openAt(reader, reader.last.real.cursor, expected);
  }

  async #openAt(reader: Reader, cursor: string, expected: Expected): Promise<void> {
    const opened = await this.#stream(reader.model, cursor).catch((error: unknown) => error);
    if (expected.kind === "missed") return this.#assertMissed(reader, opened, expected);
    if (opened instanceof Error) throw new Error("resuming failed", { cause: opened });
    reader.stream = opened as LogStream;
  }

  /** Reads some of what there is for a reader. */
  async #read(): Promise<void> {
    const reader = this.#someReader();
    if (reader === undefined || this.#stopped.has(reader)) return;
    for (let left = this.#random.integer(1, 12); left > 0 && reader.model.hasNext; left--)
      await this.#readOne(reader);
  }

  /** A reader that waits while records are written and files rotated, so that its look-ups fall between these. */
  async #race(): Promise<void> {
    const reader = this.#someReader();
    if (reader === undefined || this.#stopped.has(reader) || this.#writer === undefined) return;
    this.#model.nowMs = Math.max(this.#model.nowMs, reader.model.sinceMs);
    this.#append(this.#random.pick([...reader.model.sources]));
    while (reader.model.hasNext) await this.#readOne(reader); // now it holds the newest file
    const received = reader.stream.recv().catch((error: unknown) => error);
    // Fewer records than the files can hold: whatever the timing, nothing is lost.
    for (let left = this.#random.integer(1, RACE_RECORDS_MAX); left > 0; left--) {
      this.#append(this.#random.pick([...reader.model.sources]));
      for (let turns = this.#random.integer(0, 3); turns > 0; turns--) await nextTurn();
    }
    await this.#readOne(reader, received);
  }

  async #readOne(reader: Reader, pending?: Promise<unknown>): Promise<void> {
    const expected = reader.model.read();
    const received = await withLimit(pending ?? reader.stream.recv().catch((error: unknown) => error));
    if (expected.kind === "missed") return this.#assertMissed(reader, received, expected);
    assert.ok(expected.kind === "entry");
    if (received === null || received instanceof Error)
      throw new Error("an entry was expected", { cause: received });
    const [real, model] = [received as LogEntry, expected.entry];
    const { text, source, sessionId, stampMs } = model;
    assert.equal(real.text(), text);
    assert.deepEqual([real.source, real.sessionId, real.timestamp.getTime()], [source, sessionId, stampMs]);
    reader.last = { real, model };
    this.counts.entries++;
  }

  async #assertMissed(reader: Reader, error: unknown, expected: ExpectedLoss): Promise<void> {
    if (!(error instanceof MissedRotationError)) throw new Error("a loss was expected", { cause: error });
    assert.equal(error.lostGenerations, expected.lostGenerations);
    this.counts.missed++;
    reader.last = undefined;
    reader.stream = await this.#stream(reader.model, error.cursor);
  }

  #stream(model: ModelReader, fromCursor: string | undefined): Promise<LogStream> {
    const since = model.sinceMs > 0 ? model.sinceMs : undefined;
    return openLogStream(this.#logs, { follow: true, sources: [...model.sources], since, fromCursor });
  }

  #someReader(): Reader | undefined {
    return this.#readers.length === 0 ? undefined : this.#random.pick(this.#readers);
  }

  #someTime(): number {
    return this.#model.nowMs - this.#random.integer(-5, 3000);
  }
}

/** Lets file operations that are under way come back. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Fails instead of hanging when nothing comes. A reader looks again each second: what is late is a machine that stalls. */
async function withLimit<T>(promise: Promise<T>): Promise<T> {
  if (!(await settlesWithin(promise, 60_000))) throw new Error("nothing came in 60 s");
  return await promise;
}

test(
  `a log gives every retained entry once and in order, and reports every loss, in ${STEPS} random steps`,
  async () => {
    using directory = temporaryDirectory();
    const run = new Run(directory.path);
    for (let step = 0; step < STEPS; step++) {
      try {
        await run.step();
      } catch (error) {
        throw new Error(`step ${step}`, { cause: error });
      }
    }
    await run.close();
    console.log(run.counts);
    for (const [what, count] of Object.entries(run.counts))
      assert.ok(count > 0 || STEPS < 10_000, `no ${what} at all`);
  },
  { timeoutMs: 600_000 },
);
