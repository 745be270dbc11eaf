/** Mounts of the agent: targets, their end, and whoever serves them going wrong. @module */
import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MESSAGES, MountFlag } from "../../../src/agent/protocol.ts";
import { Errno } from "../../../src/mount/errno.ts";
import { Opcode } from "../../../src/mount/fuse/constants.ts";
import { type FuseRequest, RequestAssembler } from "../../../src/mount/fuse/request.ts";
import type { FileSystemProvider } from "../../../src/mount/provider.ts";
import { MemoryFileSystem } from "../../../src/mount/providers/memory_file_system.ts";
import { MountServer } from "../../../src/mount/server.ts";
import { NativeAgent, processEnd } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { requestOf } from "../../support/mount/fuse_requests.ts";
import { KernelMount, kernelMountProblem as missing } from "../../support/mount/kernel_mount.ts";

const MiB = 1024 * 1024;
const noPython =
  spawnSync("python3", ["-c", ""]).status === 0 ? undefined : "needs python3 to interrupt calls";

/** A directory to mount in; whatever is mounted there at its end is taken away. */
class MountDirectory implements Disposable {
  readonly #directory = temporaryDirectory();
  readonly path = this.#directory.path;

  get mounts(): readonly string[] {
    const lines = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
    return lines.map((line) => line.split(" ")[4] ?? "").filter((point) => point.startsWith(this.path));
  }

  [Symbol.dispose](): void {
    for (const point of this.mounts.toReversed()) spawnSync("umount", ["-l", point]);
    this.#directory[Symbol.dispose]();
  }
}

function mount(agent: NativeAgent, stream: number, target: string, flags = 0, sizeBytes = 0): void {
  agent.send("mountOpen", stream, { flags, sizeBytes, target: new TextEncoder().encode(target) });
}

/** Children of a process, with their states. */
function childrenOf(pid: number): readonly string[] {
  const all = execFileSync("ps", ["-e", "-o", "ppid=,pid=,stat="], { encoding: "utf8" });
  return all
    .split("\n")
    .map((line) => line.trim().split(/ +/))
    .filter(([parent]) => parent === String(pid))
    .map((fields) => fields.join(" "));
}

/** Returns when the agent has no children, zombies neither: what unmounts may end after the mount. */
async function reaped(agent: NativeAgent): Promise<void> {
  while (childrenOf(agent.pid).length > 0) await agent.settle();
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** A mount whose server is the test's own: it gets each request and answers it, or not, or wrongly. */
class RawMount implements AsyncDisposable {
  readonly agent: NativeAgent;
  readonly #pump: Promise<void>;

  private constructor(agent: NativeAgent, answer: (request: Uint8Array, raw: RawMount) => void) {
    this.agent = agent;
    this.#pump = this.#run(answer);
  }

  static async open(target: string, answer: (request: Uint8Array, raw: RawMount) => void): Promise<RawMount> {
    const agent = await NativeAgent.start();
    mount(agent, 1, target);
    await agent.expect("execStarted", 1);
    return new RawMount(agent, answer);
  }

  /** Gives bytes to the kernel as a reply. */
  reply(bytes: Uint8Array): void {
    this.agent.stdin(1, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.agent.send("unmount", 1, { lazily: 1 });
    await this.#pump;
    await this.agent[Symbol.asyncDispose]();
  }

  async #run(answer: (request: Uint8Array, raw: RawMount) => void): Promise<void> {
    for (;;) {
      const message = await this.agent.next(1, Number.POSITIVE_INFINITY);
      if (message.name === "closed") return;
      if (message.name !== "stdout" || message.fields.data.length === 0) continue;
      const { data } = message.fields;
      this.agent.send("credit", 1, { channel: MESSAGES.stdout.type, bytes: data.length });
      answer(data, this);
    }
  }
}

/** Answers as a server of `provider`, except requests of one kind, which `wrongly` answers. */
function servedBut(
  provider: FileSystemProvider,
  opcode: number,
  wrongly: (unique: bigint, raw: RawMount) => void,
): (request: Uint8Array, raw: RawMount) => void {
  let server: MountServer | undefined;
  return (request, raw) => {
    server ??= new MountServer(provider, { validityMs: 0 }, (bytes) => raw.reply(bytes));
    const view = new DataView(request.buffer, request.byteOffset, request.length);
    if (view.getUint32(4, true) === opcode) wrongly(view.getBigUint64(8, true), raw);
    else server.feed(request);
  };
}

/** A reply that says how long it is. */
function replyOf(unique: bigint, size: number, length = size): Uint8Array {
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size, true);
  view.setBigUint64(8, unique, true);
  return bytes;
}

/** Runs a script elsewhere, since the server is in this process. */
async function run(script: string, ...args: string[]): Promise<string> {
  const child = spawn("sh", ["-c", script, "sh", ...args], { cwd: "/", stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  await new Promise((resolve) => child.once("close", resolve));
  return output;
}

test(
  "mountOpen refuses targets that it cannot use, and mounts nothing",
  async () => {
    using directory = new MountDirectory();
    await using agent = await NativeAgent.start();
    writeFileSync(join(directory.path, "file"), "");
    const before = [openFiles(agent.pid), childrenOf(agent.pid).length];
    const refused: readonly (readonly [string, number, number?])[] = [
      ["", Errno.ENOENT],
      ["relative/path", Errno.EINVAL],
      ["/", Errno.EINVAL],
      [join(directory.path, "file"), Errno.ENOTDIR],
      [join(directory.path, "file/below"), Errno.ENOTDIR],
      [join(directory.path, "n".repeat(256)), Errno.ENAMETOOLONG],
      [directory.path, Errno.EISDIR, MountFlag.fileRoot],
    ];
    for (const [index, [target, errno, flags]] of refused.entries()) {
      mount(agent, index + 1, target, flags);
      const { names, failed } = await agent.collect(index + 1);
      assert.deepEqual(names, ["execFailed", "closed"], target);
      assert.equal(failed?.errno, errno, target);
    }
    mount(agent, 50, "/x\0y");
    assert.deepEqual((await agent.collect(50)).names.at(-1), "closed");
    assert.deepEqual(directory.mounts, []);
    assert.deepEqual([openFiles(agent.pid), childrenOf(agent.pid).length], before);
  },
  { missing },
);

test(
  "unmount answers EBUSY while a program is in the mount, and 0 once it has left",
  async () => {
    using directory = new MountDirectory();
    const target = join(directory.path, "made/on the way");
    await using mounted = await KernelMount.open(target, new MemoryFileSystem({ "d/f": "x" }));
    const child = spawn("sh", ["-c", 'cd "$1/d" && echo there && read line', "sh", target], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await new Promise((resolve) => child.stdout.once("data", resolve));
    assert.equal(await mounted.unmount(), Errno.EBUSY);
    assert.equal((await mounted.run('cat "$M/d/f"')).output, "x", "it goes on");
    child.stdin.end();
    await new Promise((resolve) => child.once("close", resolve));
    assert.equal(await mounted.unmount(), 0);
    assert.deepEqual(directory.mounts, []);
  },
  { missing },
);

test(
  "mountOpen takes a file as the root of a mount",
  async () => {
    using directory = new MountDirectory();
    const memory = new MemoryFileSystem({ f: "content" });
    const provider: FileSystemProvider = {
      attributes: () => memory.attributes("/f"),
      list: () => memory.list("/f"),
      open: (_path, options) => memory.open("/f", options),
    };
    const target = join(directory.path, "a/file");
    await using mounted = await KernelMount.open(target, provider, {}, MountFlag.fileRoot);
    assert.equal((await mounted.run('cat "$M"; printf more >>"$M"; cat "$M"')).output, "contentcontentmore");
  },
  { missing },
);

test(
  "A mount answers EIO once nobody serves it, also to requests under way, and can be unmounted",
  async () => {
    using directory = new MountDirectory();
    const target = join(directory.path, "target");
    const memory = new MemoryFileSystem({ f: "content" });
    const asked = Promise.withResolvers<void>();
    const provider: FileSystemProvider = {
      attributes: (path) => {
        if (path !== "/never") return memory.attributes(path);
        asked.resolve();
        return new Promise(() => {});
      },
      list: (path) => memory.list(path),
      open: (path, options) => memory.open(path, options),
    };
    await using mounted = await KernelMount.open(target, provider, { validityMs: 0 });
    assert.equal((await mounted.run('cat "$M/f"')).output, "content");
    const waiting = mounted.run('stat "$M/never"');
    await asked.promise;
    mounted.lose();
    assert.match((await waiting).output, /Input\/output error/);
    assert.match((await mounted.run('cat "$M/f"')).output, /Input\/output error/);
    assert.match((await mounted.run('echo x >"$M/g"')).output, /I\/O error|Input\/output error/i);
    assert.equal((await mounted.run('umount "$M"')).code, 0);
    assert.deepEqual(directory.mounts, []);
  },
  { missing },
);

const wrong: readonly (readonly [string, (unique: bigint) => Uint8Array])[] = [
  ["smaller than its head", (unique) => replyOf(unique, 15, 16)],
  ["of no size", (unique) => replyOf(unique, 0, 16)],
  ["larger than any", (unique) => replyOf(unique, 0xffff_ffff, 16)],
];
for (const [what, bytes] of wrong)
  test(
    `A mount is given up when a reply is ${what}`,
    async () => {
      using directory = new MountDirectory();
      const target = join(directory.path, "target");
      const answer = servedBut(new MemoryFileSystem({ f: "content" }), Opcode.lookup, (unique, raw) =>
        raw.reply(bytes(unique)),
      );
      await using raw = await RawMount.open(target, answer);
      assert.match(await run('cat "$1/f"', target), /Input\/output error/);
      assert.match(await run('ls "$1"', target), /Input\/output error/);
      raw.agent.send("ping", 9, { token: 7 });
      await raw.agent.expect("pong", 9);
    },
    { missing },
  );

test(
  "A mount goes on after replies that nobody waits for, and that the kernel refuses",
  async () => {
    using directory = new MountDirectory();
    const target = join(directory.path, "target");
    const memory = new MemoryFileSystem({ f: "content" });
    const answer = servedBut(memory, Opcode.statfs, (unique, raw) => {
      raw.reply(replyOf(0x1234_5678n, 16)); // of no request
      raw.reply(replyOf(unique, 17)); // too short for a statfs: the kernel fails the request
      raw.reply(replyOf(unique, 16 + 80)); // answered already
      raw.reply(replyOf(0n, 16)); // no notification
    });
    await using _raw = await RawMount.open(target, answer);
    assert.match(await run('stat -f "$1"', target), /Input\/output error|Invalid argument/);
    assert.equal(await run('cat "$1/f"', target), "content");
  },
  { missing },
);

test(
  "A mount goes on after any number of interrupted requests",
  async () => {
    using directory = new MountDirectory();
    const target = join(directory.path, "target");
    const memory = new MemoryFileSystem();
    const interrupts = 5000;
    let interrupted = 0;
    let held: FuseRequest | undefined; // what is asked waits until it is interrupted
    let server: MountServer | undefined;
    const assembler = new RequestAssembler(2 * MiB);
    const answer = (data: Uint8Array, raw: RawMount) => {
      server ??= new MountServer(memory, { validityMs: 0 }, (bytes) => raw.reply(bytes));
      const serve = ({ opcode, unique, node, body }: FuseRequest) =>
        server?.feed(requestOf(opcode, unique, node, body));
      for (const request of assembler.feed(data)) {
        if (request.opcode === Opcode.statfs) held = request;
        else serve(request);
        if (request.opcode !== Opcode.interrupt) continue;
        interrupted++;
        if (held !== undefined) serve(held);
        held = undefined;
      }
    };
    await using _raw = await RawMount.open(target, answer);
    const script = `
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
for _ in range(int(sys.argv[2])): os.statvfs(sys.argv[1])
signal.setitimer(signal.ITIMER_REAL, 0)
print("done")`;
    assert.equal(await run(`python3 -c '${script}' "$1" ${interrupts}`, target), "done\n");
    assert.equal(interrupted, interrupts);
    assert.equal(await run('mkdir "$1/d" && ls "$1"', target), "d\n");
  },
  { missing: missing ?? noPython },
);

const ends: readonly (readonly [string, (agent: NativeAgent) => Promise<void>])[] = [
  [
    "when it is told to",
    async (agent) => {
      agent.send("shutdown", 0, { graceMs: 0 });
      await agent.expect("flushed", 0);
    },
  ],
  ["when the host is gone", (agent) => agent[Symbol.asyncDispose]()],
];
for (const [how, end] of ends)
  test(
    `Mounts leave no process and no descriptor behind when the agent ends ${how}`,
    async () => {
      using directory = new MountDirectory();
      const agent = await NativeAgent.start();
      try {
        const before = openFiles(agent.pid);
        for (let stream = 1; stream <= 20; stream++) {
          mount(agent, stream, join(directory.path, "target"));
          await agent.expect("execStarted", stream);
          assert.equal(directory.mounts.length, 1);
          agent.send("unmount", stream, { lazily: 1 });
          const { exited } = await agent.collect(stream);
          assert.equal(exited?.code, 0);
          assert.deepEqual(directory.mounts, []);
        }
        await reaped(agent);
        assert.equal(openFiles(agent.pid), before);
        mount(agent, 30, join(directory.path, "one"));
        await agent.expect("execStarted", 30);
        mount(agent, 31, join(directory.path, "other"));
        await agent.expect("execStarted", 31);
        agent.send("close", 31, {});
        await agent.settle();
        const children = childrenOf(agent.pid).map((line) => Number(line.split(" ")[1]));
        assert.equal(children.length, 2);
        await end(agent);
        await Promise.all(children.map((pid) => processEnd(pid)));
        // In a VM they are unmounted, or go with it. Here they stay, and nobody waits in them for ever.
        assert.match(await run('stat "$1/one/x"', directory.path), /not connected|aborted/);
      } finally {
        await agent[Symbol.asyncDispose]();
      }
    },
    { missing },
  );

test(
  "mountOpen makes a file system in memory, of its size, and ends its stream",
  async () => {
    using directory = new MountDirectory();
    await using agent = await NativeAgent.start();
    const target = join(directory.path, "memory");
    mount(agent, 1, target, MountFlag.memory, MiB);
    const { names, exited } = await agent.collect(1);
    assert.deepEqual([names[0], exited?.code, names.at(-1)], ["execStarted", 0, "closed"]);
    assert.deepEqual(directory.mounts, [target]);
    assert.equal(await run('stat -f -c "%T %b %S" "$1"; stat -c %a "$1"', target), "tmpfs 256 4096\n1777\n");
    assert.match(
      await run('head -c 2000000 /dev/zero >"$1/f"; stat -c %s "$1/f"', target),
      /No space left.*\n1048576\n$/,
    );
    mkdirSync(join(directory.path, "other"));
    mount(
      agent,
      2,
      join(directory.path, "other"),
      MountFlag.memory | MountFlag.readonly | MountFlag.noExec,
      MiB,
    );
    await agent.collect(2);
    assert.match(await run('touch "$1/x"', join(directory.path, "other")), /Read-only file system/);
    await reaped(agent);
  },
  { missing },
);
