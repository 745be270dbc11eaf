/**
 * Random file calls of several clients at once, each in a tree of its own, against a file system in memory. From time to time
 * calls are aborted and sessions killed; then what is on the disk has to be what one of the calls left there.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { SandboxFsOpsError } from "../../mod.ts";
import { errnoOf } from "../../src/base/errors.ts";
import type { SandboxFsOps } from "../../src/sandbox/files/fs_ops.ts";
import { nativeAgentProblem } from "../support/guest/native_agent.ts";
import { filesOf, sessionPids } from "../support/guest/native_files.ts";
import { test } from "../support/harness.ts";
import { FakeHost } from "../support/host/in_process_host.ts";
import {
  Errno,
  type ModelDirectory,
  type ModelNode,
  ModelTree,
  type ModelWrite,
} from "../support/model/file_tree.ts";
import { eventually } from "../support/processes.ts";
import { randomOf, type SeededRandom, seededRandom } from "../support/random.ts";

const STEPS = Number(process.env["MSB_FILE_STEPS"] ?? 20_000);
const CLIENTS = 4;
/** After so many steps of each client there is a storm of aborts and kills. */
const STEPS_PER_CALM = 250;
const NAMES = ["a", "b", "new\nline"];
/** More than fits one message. */
const LARGE_BYTES = 300_000;

interface Step {
  readonly what: string;
  readonly real: (fs: SandboxFsOps, signal?: AbortSignal) => Promise<unknown>;
  readonly model: (tree: ModelTree) => unknown;
}

function randomPath(random: SeededRandom): string {
  return Array.from({ length: random.integer(1, 3) }, () => random.pick(NAMES)).join("/");
}

function randomBytes(random: SeededRandom): Uint8Array {
  const size = random.integer(0, 99) === 0 ? LARGE_BYTES : random.integer(0, 40);
  return new Uint8Array(size).fill(random.integer(1, 255));
}

function randomWrite(random: SeededRandom): ModelWrite {
  const createParents = random.integer(0, 3) > 0;
  const mode = random.pick([undefined, undefined, 0o600, 0o755]);
  switch (random.integer(0, 6)) {
    case 0:
      return { createParents, append: true };
    case 1:
      return { createParents, offset: random.integer(0, 60) };
    case 2:
      return { createParents, exclusive: true, atomic: random.integer(0, 1) === 0 };
    case 3:
      return { create: false, mode };
    case 4:
      return { createParents, atomic: true, mode };
    default:
      return { createParents, mode };
  }
}

/** Any call that changes something, or tells. */
function randomStep(random: SeededRandom): Step {
  const [path, other] = [randomPath(random), randomPath(random)];
  const flag = random.integer(0, 1) === 0;
  const also = random.integer(0, 1) === 0;
  const shown = JSON.stringify(path);
  switch (random.integer(0, 17)) {
    case 0:
    case 1:
    case 2:
    case 3: {
      const [bytes, options] = [randomBytes(random), randomWrite(random)];
      return {
        what: `write ${shown} ${bytes.length} ${JSON.stringify(options)}`,
        real: (fs, signal) => fs.write(path, bytes, { ...options, signal }),
        model: (tree) => tree.write(path, bytes, options),
      };
    }
    case 4:
    case 5: {
      const range = { offset: random.integer(0, 30), length: random.pick([undefined, 0, 10]) };
      const end = range.length === undefined ? undefined : range.offset + range.length;
      return {
        what: `read ${shown} ${JSON.stringify(range)}`,
        real: async (fs, signal) => Buffer.from(await fs.read(path, { ...range, signal })),
        model: (tree) => Buffer.from(tree.read(path).subarray(range.offset, end)),
      };
    }
    case 6:
      return {
        what: `mkdir ${shown} ${flag}`,
        real: (fs, signal) => fs.mkdir(path, { createParents: flag, signal }),
        model: (tree) => tree.mkdir(path, flag),
      };
    case 7:
      return {
        what: `remove ${shown} force ${flag}`,
        real: (fs, signal) => fs.remove(path, { force: flag, signal }),
        model: (tree) => tree.remove(path, flag),
      };
    case 8:
      return {
        what: `removeDir ${shown} recursive ${flag} force ${also}`,
        real: (fs, signal) => fs.removeDir(path, { recursive: flag, force: also, signal }),
        model: (tree) => tree.removeDir(path, flag, also),
      };
    case 9:
    case 10:
      return {
        what: `rename ${shown} ${JSON.stringify(other)} exclusive ${flag}`,
        real: (fs, signal) => fs.rename(path, other, { exclusive: flag, signal }),
        model: (tree) => tree.rename(path, other, flag),
      };
    case 11:
      return {
        what: `copy ${shown} ${JSON.stringify(other)} exclusive ${flag}`,
        real: (fs, signal) => fs.copy(path, other, { exclusive: flag, signal }),
        model: (tree) => tree.copyFile(path, other, flag),
      };
    case 12:
      return {
        what: `symlink ${JSON.stringify(other)} at ${shown} replace ${flag}`,
        real: (fs, signal) => fs.symlink(other, path, { replace: flag, signal }),
        model: (tree) => tree.symlink(other, path, flag),
      };
    case 13:
      return {
        what: `link ${shown} ${JSON.stringify(other)}`,
        real: (fs, signal) => fs.link(path, other, { signal }),
        model: (tree) => tree.link(path, other),
      };
    case 14: {
      const size = random.integer(0, 80);
      return {
        what: `truncate ${shown} ${size}`,
        real: (fs, signal) => fs.truncate(path, size, { signal }),
        model: (tree) => tree.truncate(path, size),
      };
    }
    case 15: {
      const mode = random.pick([0o600, 0o711, 0o755]);
      return {
        what: `chmod ${shown} ${mode}`,
        real: (fs, signal) => fs.chmod(path, mode, { signal }),
        model: (tree) => tree.chmod(path, mode),
      };
    }
    case 16:
      return {
        what: `list ${shown}`,
        real: async (fs, signal) => (await fs.list(path, { signal })).map(({ name }) => name),
        model: (tree) => [...tree.list(path)],
      };
    default:
      return randomQuestion(random, path);
  }
}

function randomQuestion(random: SeededRandom, path: string): Step {
  const shown = JSON.stringify(path);
  switch (random.integer(0, 2)) {
    case 0:
      return {
        what: `exists ${shown}`,
        real: (fs) => fs.exists(path),
        model: (tree) => tree.exists(path),
      };
    case 1:
      return {
        what: `readLink ${shown}`,
        real: (fs) => fs.readLink(path),
        model: (tree) => tree.readLink(path),
      };
    default:
      return {
        what: `lstat ${shown}`,
        real: async (fs) => {
          const { kind, mode, size, links } = await fs.lstat(path);
          return kind === "file" ? { kind, mode, size, links } : { kind };
        },
        model: (tree) => {
          const node = tree.node(path, false);
          if (node.kind !== "file") return { kind: node.kind };
          return { kind: node.kind, mode: node.mode, size: node.bytes.length, links: tree.links(node) };
        },
      };
  }
}

/** What a call came to: its value, or the name of its errno. */
async function outcome(call: () => unknown): Promise<unknown> {
  try {
    return await call();
  } catch (error) {
    if (error instanceof Errno) return error.errnoName;
    if (error instanceof SandboxFsOpsError && error.errno !== 0) return error.errnoName;
    throw error;
  }
}

/** One client and the tree that it alone works in. */
class Worker {
  readonly directory: string;
  readonly #fs: SandboxFsOps;
  readonly #random: SeededRandom;
  readonly #log: string[] = [];
  #tree: ModelTree;

  constructor(fs: SandboxFsOps, directory: string, random: SeededRandom) {
    this.#fs = fs;
    this.directory = directory;
    this.#random = random;
    this.#tree = new ModelTree(process.umask());
  }

  /** Steps one after the other, each with the outcome that the model has. */
  async calm(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      const step = randomStep(this.#random);
      this.#note(step.what);
      const expected = await outcome(() => step.model(this.#tree));
      const actual = await outcome(() => step.real(this.#fs));
      assert.deepEqual(actual, expected, this.#story());
    }
    assert.deepEqual(shape(readTree(this.directory)), shape(this.#tree.root), this.#story());
  }

  /** Calls whose caller gives up at some moment. What becomes of them is not known. */
  async storm(): Promise<void> {
    const calls = Array.from({ length: this.#random.integer(1, 6) }, async () => {
      const step = randomStep(this.#random);
      const abort = new AbortController();
      this.#note(`aborted: ${step.what}`);
      const call = step.real(this.#fs, abort.signal);
      for (let turns = this.#random.integer(0, 20); turns > 0; turns--) await Promise.resolve();
      if (this.#random.integer(0, 3) > 0) abort.abort();
      await call;
    });
    for (const call of await Promise.allSettled(calls)) {
      const code = call.status === "rejected" ? call.reason?.code : undefined;
      assert.notEqual(code, "protocol", this.#story());
      assert.notEqual(code, "internal", this.#story());
    }
  }

  /** Goes on from what is on the disk, once the client knows that its session was killed. */
  async learn(): Promise<void> {
    await eventually(() => this.#fs.exists(this.directory));
    this.#note("the tree as it is");
    this.#tree = new ModelTree(process.umask());
    for (const [name, node] of readTree(this.directory).entries) this.#tree.root.entries.set(name, node);
  }

  #note(what: string): void {
    this.#log.push(what);
    if (this.#log.length > 40) this.#log.shift();
  }

  #story(): string {
    return `${this.directory}, after:\n${this.#log.join("\n")}`;
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (errnoOf(error) !== "ESRCH") throw error; // it has ended since
  }
}

/** The tree on the disk as a model. */
function readTree(directory: string, files = new Map<bigint, ModelNode>()): ModelDirectory {
  const entries = new Map<string, ModelNode>();
  for (const name of readdirSync(directory)) entries.set(name, readNode(`${directory}/${name}`, files));
  return { kind: "directory", entries, mode: lstatSync(directory).mode & 0o7777 };
}

function readNode(path: string, files: Map<bigint, ModelNode>): ModelNode {
  const stats = lstatSync(path, { bigint: true });
  if (stats.isDirectory()) return readTree(path, files);
  const known = files.get(stats.ino); // another name of it
  if (known !== undefined) return known;
  const node: ModelNode = stats.isSymbolicLink()
    ? { kind: "symlink", target: readlinkSync(path) }
    : { kind: "file", bytes: new Uint8Array(readFileSync(path)), mode: Number(stats.mode) & 0o7777 };
  files.set(stats.ino, node);
  return node;
}

/** A tree as plain data, in order. The root's own mode is not its client's. */
function shape(directory: ModelDirectory): unknown {
  return [...directory.entries]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, node]) => {
      if (node.kind === "directory") return [name, node.mode, shape(node)];
      return node.kind === "symlink"
        ? [name, node.target]
        : [name, node.mode, Buffer.from(node.bytes).toString("base64")];
    });
}

test(
  `SandboxFsOps does what a file system in memory does, in ${STEPS} random steps of ${CLIENTS} clients with aborts and kills`,
  async () => {
    const random = seededRandom("file calls");
    const base = mkdtempSync(`${existsSync("/dev/shm") ? "/dev/shm" : tmpdir()}/msb-test-`);
    try {
      await using host = await FakeHost.start();
      const workers = await Promise.all(
        Array.from({ length: CLIENTS }, async (_, index) => {
          const directory = `${base}/${index}`;
          mkdirSync(directory);
          const fs = filesOf(await host.connect(), directory);
          return new Worker(fs, directory, randomOf(random.integer(0, 2 ** 31)));
        }),
      );
      for (let steps = 0; steps < STEPS; steps += STEPS_PER_CALM * CLIENTS) {
        await Promise.all(workers.map((worker) => worker.calm(STEPS_PER_CALM)));
        const storms = Promise.all(workers.map((worker) => worker.storm()));
        for (const pid of sessionPids(host)) if (random.integer(0, 1) === 0) kill(pid);
        await storms;
        // What was given up may still be going on: not after this.
        for (const pid of sessionPids(host)) kill(pid);
        await eventually(() => assert.deepEqual(sessionPids(host), []));
        await Promise.all(workers.map((worker) => worker.learn()));
      }
    } finally {
      rmSync(base, { recursive: true, force: true });
    }
  },
  { timeoutMs: 600_000, skip: nativeAgentProblem },
);
