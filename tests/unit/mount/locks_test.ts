/** Locks of a mount's programs hold against programs of the host, and against those of another mount. @module */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MountFlag, MountNotice } from "../../../src/agent/protocol.ts";
import { FileLocks } from "../../../src/ffi/file_locks.ts";
import { Errno } from "../../../src/mount/errno.ts";
import { Opcode, ROOT_ID } from "../../../src/mount/fuse/constants.ts";
import { DirectoryProvider } from "../../../src/mount/providers/directory_provider.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { FuseClient } from "../../support/mount/fuse_requests.ts";
import { KernelMount, kernelMountProblem } from "../../support/mount/kernel_mount.ts";
import { filesBy } from "../../support/mount/shared_directory.ts";
import { within } from "../../support/within.ts";

const missing =
  kernelMountProblem ??
  (spawnSync("python3", ["-c", "import sqlite3"]).status === 0 ? undefined : "needs python3 to lock files");

const WAIT_MS = 20_000;

/** Takes locks as it is told on stdin, and reports the outcome: `l 0 10 x` (lockf), `f x` (flock); types x, s, u; `w` waits. */
const HOLDER = `
import fcntl, os, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: (_ for _ in ()).throw(InterruptedError()))
fd = os.open(sys.argv[1], os.O_RDWR)
types = {"x": fcntl.LOCK_EX, "s": fcntl.LOCK_SH, "u": fcntl.LOCK_UN}
print("ready", flush=True)
for line in sys.stdin:
    what, *rest = line.split()
    wait = 0 if line.endswith("w\\n") else fcntl.LOCK_NB
    try:
        if what == "l":
            fcntl.lockf(fd, types[rest[2]] | (0 if rest[2] == "u" else wait), int(rest[1]), int(rest[0]))
        elif what == "f":
            fcntl.flock(fd, types[rest[0]] | (0 if rest[0] == "u" else wait))
        elif what == "c":
            os.close(os.open(sys.argv[1], os.O_RDWR))
        print("done", flush=True)
    except (OSError, InterruptedError) as error:
        print(type(error).__name__, flush=True)
`;

/** A program that holds locks. */
class Holder implements Disposable {
  readonly #child: ChildProcess;
  #lines: string[] = [];
  #wake: () => void = () => {};

  private constructor(path: string) {
    this.#child = spawn("python3", ["-c", HOLDER, path], { stdio: ["pipe", "pipe", "inherit"], cwd: "/" });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#lines.push(...text.split("\n").filter((line) => line !== ""));
      this.#wake();
    });
  }

  static async start(path: string): Promise<Holder> {
    const holder = new Holder(path);
    assert.equal(await holder.answer(), "ready");
    return holder;
  }

  #last = "";

  send(command: string): void {
    this.#last = command;
    this.#child.stdin?.write(`${command}\n`);
  }

  interrupt(): void {
    process.kill(this.#child.pid ?? 0, "SIGUSR1"); // Deno closes the stdin of a child that is sent a signal by its method
  }

  async answer(): Promise<string> {
    return await within(WAIT_MS, `an answer to ${this.#last}`, async () => {
      while (this.#lines.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
      return this.#lines.shift() ?? "";
    });
  }

  async ask(command: string): Promise<string> {
    this.send(command);
    return await this.answer();
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }
}

async function mounted(directory: string, name: string, below: string): Promise<KernelMount> {
  const provider = DirectoryProvider.open(await filesBy(true), below, { locks: await FileLocks.load() });
  return await KernelMount.open(join(directory, name), provider, { locks: true }, MountFlag.watch);
}

test(
  "MountServer takes locks on the host's file, for one program of a mount against all others",
  async () => {
    using directory = temporaryDirectory();
    using below = temporaryDirectory();
    writeFileSync(join(below.path, "file"), "0123456789".repeat(10));
    await using one = await mounted(directory.path, "one", below.path);
    await using two = await mounted(directory.path, "two", below.path);
    using a = await Holder.start(join(one.path, "file"));
    using b = await Holder.start(join(one.path, "file"));
    using c = await Holder.start(join(two.path, "file"));
    using host = await Holder.start(join(below.path, "file"));
    for (const [take, other, free] of [
      ["l 0 10 x", "l 5 10 s", "l 0 10 u"],
      ["f x", "f s", "f u"],
    ] as const) {
      assert.equal(await a.ask(take), "done");
      for (const holder of [b, c, host]) assert.equal(await holder.ask(other), "BlockingIOError", take);
      assert.equal(await a.ask(free), "done");
      for (const holder of [b, c, host])
        assert.equal(await holder.ask(other), "done", "shared ones hold together");
      assert.equal(await a.ask(take), "BlockingIOError");
      for (const holder of [b, c, host]) assert.equal(await holder.ask(other.replace(" s", " u")), "done");
    }
    assert.equal(await host.ask("l 20 5 x"), "done");
    assert.equal(await a.ask("l 0 20 x"), "done", "another part of the file");
    assert.equal(await a.ask("l 20 1 s"), "BlockingIOError");
    // Waiting: until others give up, here or there, and until it is interrupted.
    a.send("l 20 1 x w");
    assert.equal(await host.ask("l 20 5 u"), "done");
    assert.equal(await a.answer(), "done");
    c.send("l 20 1 s w");
    b.send("l 20 1 s w");
    assert.equal(await a.ask("l 20 1 u"), "done");
    for (const holder of [b, c]) assert.equal(await holder.answer(), "done");
    a.send("l 20 1 x w");
    assert.equal((await one.run('cat "$M/file" | wc -c')).output.trim(), "100", "no other program waits");
    a.interrupt();
    assert.equal(await a.answer(), "InterruptedError");
    for (const holder of [b, c]) assert.equal(await holder.ask("l 20 1 u"), "done");
    assert.equal(await host.ask("l 20 1 x"), "done", "what was interrupted took nothing");
    // By POSIX, a program loses its locks of a file once it closes any descriptor of it.
    assert.equal(await a.ask("c"), "done");
    assert.equal(await host.ask("l 0 20 x"), "done");
    assert.equal(one.server.usage.pending, 0);
  },
  { missing, timeoutMs: 60_000 },
);

const COUNTER = `
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], timeout=60, isolation_level=None)
for _ in range(int(sys.argv[2])):
    database.execute("BEGIN IMMEDIATE")
    (count,) = database.execute("SELECT count FROM counter").fetchone()
    database.execute("UPDATE counter SET count = ?", (count + 1,))
    database.execute("COMMIT")
`;

test(
  "MountServer keeps a SQLite database whole that two mounts and the host write to, and has one at a time use its write-ahead log",
  async () => {
    using directory = temporaryDirectory();
    using below = temporaryDirectory();
    await using one = await mounted(directory.path, "one", below.path);
    await using two = await mounted(directory.path, "two", below.path);
    const python = (mount: KernelMount, script: string, ...args: readonly string[]) =>
      mount.run('exec python3 -c "$@"', [script, ...args]);
    const database = (path: string) => join(path, "count.db");
    const open = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1], timeout=1, isolation_level=None);";
    const made = await python(
      one,
      `${open} d.execute("CREATE TABLE counter (count)"); d.execute("INSERT INTO counter VALUES (0)")`,
      database(one.path),
    );
    assert.equal(made.code, 0, made.output);
    const times = 8;
    const paths = [one.path, two.path, one.path, below.path];
    const results = await Promise.all(paths.map((path) => python(one, COUNTER, database(path), `${times}`)));
    for (const { code, output } of results) assert.equal(code, 0, output);
    const check = `${open} print(d.execute("SELECT count FROM counter").fetchone()[0], d.execute("PRAGMA integrity_check").fetchone()[0])`;
    assert.equal((await python(two, check, database(two.path))).output, `${times * paths.length} ok\n`);
    // The write-ahead log: one mount has it, the others are refused.
    const wal = `${open} print(d.execute("PRAGMA journal_mode=WAL").fetchone()[0]); d.execute("UPDATE counter SET count = 0"); print("written", flush=True); sys.stdin.read()`;
    using keeper = spawnKeeper(wal, database(one.path));
    assert.equal(await keeper.line(), "wal");
    assert.equal(await keeper.line(), "written");
    for (const path of [two.path]) {
      const { code, output } = await python(one, check, database(path));
      assert.equal(code, 1, output);
      assert.match(output, /unable to open database file|locking protocol/);
    }
    assert.equal(
      (await python(one, check, database(one.path))).output,
      "0 ok\n",
      "programs of one mount share it",
    );
    await keeper.end();
    assert.equal(
      (await python(two, check, database(two.path))).output,
      "0 ok\n",
      "once it is closed another has it",
    );
  },
  { missing, timeoutMs: 60_000 },
);

/** A program that keeps a database open until it is ended. */
function spawnKeeper(script: string, path: string) {
  const child = spawn("python3", ["-c", script, path], { stdio: ["pipe", "pipe", "inherit"], cwd: "/" });
  const lines: string[] = [];
  let wake = () => {};
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    lines.push(...text.split("\n").filter((line) => line !== ""));
    wake();
  });
  const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
  return {
    line: () =>
      within(WAIT_MS, "a line", async () => {
        while (lines.length === 0) await new Promise<void>((resolve) => (wake = resolve));
        return lines.shift();
      }),
    end: async () => {
      child.stdin.end();
      await closed;
    },
    [Symbol.dispose]: () => void child.kill("SIGKILL"),
  };
}

const EXCLUSIVE = 1;
const UNLOCK = 2;
const END = (1n << 63n) - 1n;

/** The fields of a lock of all of a file, by fcntl(2). */
function lockOf(handle: bigint, owner: bigint, type: number) {
  return [handle, owner, 0n, END, type, 0, 0, 0] as const;
}

test("MountServer asks for no lock by a file that the guest has closed while it waited", async () => {
  using directory = temporaryDirectory();
  for (const name of ["file", "other"]) writeFileSync(join(directory.path, name), name);
  const [files, locks] = [await filesBy(true), await FileLocks.load()];
  const provider = DirectoryProvider.open(files, directory.path, { locks });
  const client = new FuseClient(provider, { locks: true });
  /** A lock that was taken: the guest has forgotten the file. */
  const forgotten = () => {
    client.send(MountNotice.codeReplay, 0n);
    client.send(MountNotice.codeReplay, 0n);
  };
  const node = await client.lookup(ROOT_ID, "file");
  const [holder, waiter] = [await client.open(node, 2), await client.open(node, 2)];
  const taking = client.ask(Opcode.setlk, node, ...lockOf(holder, 1n, EXCLUSIVE));
  client.send(MountNotice.codeReplay, 0n);
  await new Promise((resolve) => setTimeout(resolve));
  forgotten();
  assert.equal((await taking).errno, 0);
  const waiting = client.ask(Opcode.setlkw, node, ...lockOf(waiter, 2n, EXCLUSIVE));
  client.send(Opcode.release, node, waiter, 0, 0, 0n);
  // What is opened next has the number of what was closed.
  const other = await client.open(await client.lookup(ROOT_ID, "other"), 2);
  assert.equal(await client.errno(Opcode.setlk, node, ...lockOf(holder, 1n, UNLOCK)), 0);
  assert.equal((await within(WAIT_MS, "the end of the waiting", () => waiting)).errno, Errno.EBADF);
  const taker = locks.open(files.open(join(directory.path, "other"), 2), true);
  assert.equal(locks.setRange(taker, "exclusive", { start: 0n, length: 0n }), 0, "the other file is free");
  locks.close(taker);
  client.send(Opcode.release, node, other, 0, 0, 0n);
  await client.server.close();
});

test("MountServer does not let a program that may only read a file keep host programs from reading it", async () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "file"), "content");
  const provider = DirectoryProvider.open(await filesBy(true), directory.path, {
    locks: await FileLocks.load(),
  });
  const client = new FuseClient(provider, { locks: true, isReadonly: true });
  const node = await client.lookup(ROOT_ID, "file");
  const handle = await client.open(node, 0);
  assert.equal(await client.errno(Opcode.setlk, node, ...lockOf(handle, 1n, EXCLUSIVE)), Errno.EBADF);
  assert.equal(await client.errno(Opcode.setlkw, node, ...lockOf(handle, 1n, EXCLUSIVE)), Errno.EBADF);
  assert.equal(await client.errno(Opcode.getlk, node, ...lockOf(handle, 1n, EXCLUSIVE)), 0);
  await client.server.close();
});
