/** File sessions as streams: how they start, what holds them up, how they end. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileChange, FileFlag } from "../../../src/agent/file_messages.ts";
import { ExecFailure, SESSIONS_MAX, WireError } from "../../../src/agent/protocol.ts";
import { contentOf, FileRequests, pathOf } from "../../support/guest/file_requests.ts";
import { NativeAgent, nativeAgentProblem, processEnd } from "../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
const isRoot = process.getuid?.() === 0;

const ENOENT = 2;
const EACCES = 13;
const EBUSY = 16;
const EEXIST = 17;
const ENODEV = 19;
const EISDIR = 21;
const EINVAL = 22;
const ENOSYS = 38;
const ENAMETOOLONG = 36;
const ENOTEMPTY = 39;

const WRITE = { flags: FileFlag.create | FileFlag.truncate, mode: 0, offset: 0, modifiedNs: 0n };
const READ = { flags: 0, offset: 0, length: Number.MAX_SAFE_INTEGER };

test(
  "filesOpen starts a child that is gone once the stream is closed",
  async () => {
    await using agent = await NativeAgent.start();
    const files = await FileRequests.open(agent, 1);
    assert.equal((await files.call("stat", { path: pathOf("/"), flags: 0 }))[0]?.name, "attributes");
    agent.send("close", 1, {});
    const { exited } = await agent.collect(1);
    assert.equal(exited?.signal, 9);
    await processEnd(files.pid);
  },
  { skip },
);

test(
  "filesOpen ends its child when the client goes, and leaves no zombie and no descriptor",
  async () => {
    await using agent = await NativeAgent.start();
    const descriptors = () => readdirSync(`/proc/${agent.pid}/fd`).length;
    const before = descriptors();
    const pids: number[] = [];
    for (let round = 0; round < 3; round++) {
      for (let stream = 1; stream <= 40; stream++) pids.push((await FileRequests.open(agent, stream)).pid);
      agent.send("clientGone", 0, { firstStream: 1, lastStream: 40 });
      for (let stream = 1; stream <= 40; stream++) await agent.collect(stream);
    }
    for (const pid of pids) await processEnd(pid);
    await agent.settle();
    assert.equal(descriptors(), before);
    const children = readFileSync(`/proc/${agent.pid}/task/${agent.pid}/children`, "utf8");
    assert.equal(children.trim(), "");
  },
  { skip },
);

test(
  "filesOpen refuses a user that is not there, a stream in use, and more sessions than there are places",
  async () => {
    await using agent = await NativeAgent.start();
    agent.send("filesOpen", 1, { user: "nobody-of-that-name", cwd: "" });
    assert.equal((await agent.collect(1)).failed?.kind, ExecFailure.badUser);
    for (let stream = 1; stream <= SESSIONS_MAX; stream++) await FileRequests.open(agent, stream);
    agent.send("filesOpen", 1, { user: "", cwd: "" });
    assert.equal((await agent.expect("error", 1)).fields.code, WireError.badStream);
    agent.send("filesOpen", SESSIONS_MAX + 1, { user: "", cwd: "" });
    assert.equal((await agent.collect(SESSIONS_MAX + 1)).failed?.kind, ExecFailure.tooManySessions);
  },
  { skip },
);

test(
  "a file session acts as its user",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const root = await FileRequests.open(agent, 1, { cwd: directory.path });
    await root.call("chmod", { path: pathOf("."), flags: 0, mode: 0o711 });
    await root.call("mkdir", { path: pathOf("open"), flags: FileFlag.setMode, mode: 0o1777 });
    await root.call("write", {
      ...WRITE,
      path: pathOf("secret"),
      flags: WRITE.flags | FileFlag.setMode,
      mode: 0o600,
      data: pathOf("x"),
    });
    const other = await FileRequests.open(agent, 2, { user: "daemon", cwd: directory.path });
    assert.equal(await other.errno("read", { ...READ, path: pathOf("secret") }), EACCES);
    assert.equal(await other.errno("access", { path: pathOf("secret"), mode: 4 }), EACCES);
    assert.equal(await other.errno("list", { path: pathOf(".") }), EACCES);
    assert.equal(await other.errno("write", { ...WRITE, path: pathOf("open/mine"), data: pathOf("x") }), 0);
    const [attributes] = await root.call("stat", { path: pathOf("open/mine"), flags: 0 });
    assert.equal(attributes?.name === "attributes" && attributes.fields.uid, 1);
  },
  { skip: skip ?? (isRoot ? undefined : "needs root to be another user") },
);

test(
  "a file session refuses relative paths only where its directory is missing, and can make that directory",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const missing = join(directory.path, "work");
    const files = await FileRequests.open(agent, 1, { cwd: missing });
    assert.equal(await files.errno("stat", { path: pathOf("a"), flags: 0 }), ENOENT);
    assert.equal(await files.errno("mkdir", { path: pathOf(missing), flags: 0, mode: 0 }), 0);
    const later = await FileRequests.open(agent, 2, { cwd: missing });
    assert.equal(await later.errno("write", { ...WRITE, path: pathOf("a"), data: pathOf("x") }), 0);
    assert.equal(readFileSync(join(missing, "a"), "utf8"), "x");
  },
  { skip },
);

test(
  "requests for regular files alone are never held up by a FIFO or a device; others wait, and nothing waits for them",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const fifo = join(directory.path, "fifo");
    assert.equal(spawnSync("mkfifo", [fifo]).status, 0);
    const files = await FileRequests.open(agent, 1);
    const flags = FileFlag.regularOnly;
    for (const path of [fifo, "/dev/zero"]) {
      assert.equal(await files.errno("read", { ...READ, flags, path: pathOf(path) }), ENODEV, path);
      const write = { ...WRITE, flags: WRITE.flags | flags, path: pathOf(path), data: pathOf("x") };
      assert.equal(await files.errno("write", write), ENODEV, path);
    }
    const hanging = await FileRequests.open(agent, 2);
    hanging.send("read", { ...READ, path: pathOf(fifo) }); // waits for a writer that never comes
    assert.equal(await files.errno("stat", { path: pathOf(fifo), flags: 0 }), 0);
    agent.send("close", 2, {});
    assert.equal((await agent.collect(2)).exited?.signal, 9);
    // With a writer it is a stream like any other.
    const reader = await FileRequests.open(agent, 3);
    reader.send("read", { ...READ, path: pathOf(fifo) });
    const id = files.send("writeOpen", { ...WRITE, flags: 0, path: pathOf(fifo) });
    assert.equal((await files.next())?.name, "opened");
    files.send("writeData", { data: pathOf("through a FIFO") }, id);
    files.send("writeEnd", {}, id);
    assert.equal((await files.answers()).at(-1)?.name, "done");
    assert.equal(contentOf(await reader.answers()), "through a FIFO");
  },
  { skip, timeoutMs: 30_000 },
);

test(
  "a file session ends at a message that is out of step, and says so of requests that it does not know",
  async () => {
    await using agent = await NativeAgent.start();
    const files = await FileRequests.open(agent, 1);
    assert.equal(await files.errno("entry", entryFields()), ENOSYS);
    agent.stdin(1, Uint8Array.of(0xff, 0xff, 0xff, 0x7f, 1, 2, 3, 4));
    assert.equal((await agent.collect(1)).exited?.code, 1);
    const other = await FileRequests.open(agent, 2);
    agent.stdin(2, Uint8Array.of(6, 0, 0, 0, 1, 0, 0, 0, 7, 0xff)); // a stat that is cut off
    assert.equal(await other.next(), undefined);
  },
  { skip },
);

function entryFields() {
  const numbers = { kind: 1, mode: 0, uid: 0, gid: 0, size: 0, allocated: 0, links: 0 };
  const times = { accessedNs: 0n, modifiedNs: 0n, changedNs: 0n, createdNs: 0n };
  const bytes = { path: pathOf("x"), target: pathOf("") };
  return { ...bytes, ...numbers, device: 0n, inode: 0n, special: 0n, ...times };
}

test(
  "paths that cannot be are refused with an errno",
  async () => {
    await using agent = await NativeAgent.start();
    const files = await FileRequests.open(agent, 1);
    const stat = (path: string) => files.errno("stat", { path: pathOf(path), flags: 0 });
    assert.equal(await stat(""), ENOENT);
    assert.equal(await stat("/etc\0/passwd"), EINVAL);
    assert.equal(await stat(`/${"a/".repeat(2100)}`), ENAMETOOLONG);
    assert.equal(await stat(`/${"a".repeat(256)}`), ENAMETOOLONG);
    assert.equal(await files.errno("stat", { path: pathOf("/"), flags: 0x8000_0000 }), EINVAL);
    assert.equal(await files.errno("mkdir", { path: pathOf("/"), flags: 0, mode: 0 }), EEXIST);
  },
  { skip },
);

test(
  "requests are answered in the order in which they were sent, many at once",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const files = await FileRequests.open(agent, 1, { cwd: directory.path });
    const ids: number[] = [];
    for (let i = 0; i < 500; i++)
      ids.push(files.send("write", { ...WRITE, path: pathOf(`f${i % 50}`), data: pathOf(String(i)) }));
    for (const id of ids) {
      const answer = await files.next();
      assert.deepEqual([answer?.id, answer?.name], [id, "done"]);
    }
    assert.equal(readFileSync(join(directory.path, "f7"), "utf8"), "457");
  },
  { skip },
);

test(
  "a writer of several messages holds its place among other requests, and what fails drops what still comes",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const files = await FileRequests.open(agent, 1, { cwd: directory.path });
    const id = files.send("writeOpen", {
      ...WRITE,
      flags: WRITE.flags | FileFlag.atomic,
      path: pathOf("big"),
    });
    assert.equal((await files.next())?.name, "opened");
    files.send("writeData", { data: pathOf("start") }, id);
    files.send("writeHole", { size: 1_000_000 }, id);
    assert.equal(await files.errno("stat", { path: pathOf("big"), flags: 0 }), ENOENT); // not before it is whole
    assert.equal(await files.errno("writeOpen", { ...WRITE, path: pathOf("other") }), EBUSY);
    files.send("writeData", { data: pathOf("end") }, id);
    files.send("writeHole", { size: 5 }, id);
    files.send("writeEnd", {}, id);
    assert.deepEqual(
      (await files.answers()).map((answer) => [answer.id, answer.name]),
      [[id, "done"]],
    );
    const text = readFileSync(join(directory.path, "big"), "latin1");
    assert.equal(text, `start${"\0".repeat(1_000_000)}end${"\0".repeat(5)}`);
    assert.deepEqual(readdirSync(directory.path), ["big"]);

    const failing = files.send("writeOpen", { ...WRITE, path: pathOf("missing/x") });
    files.send("writeData", { data: pathOf("dropped") }, failing);
    files.send("writeEnd", {}, failing);
    assert.deepEqual(
      (await files.answers()).map(({ id, name }) => [id, name]),
      [[failing, "failed"]],
    );
    assert.equal(await files.errno("stat", { path: pathOf("."), flags: 0 }), 0);
  },
  { skip },
);

test(
  "an atomic write that ends early leaves what was there, and nothing beside it once its directory is looked at",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    writeFileSync(join(directory.path, "kept"), "old", { mode: 0o640 });
    symlinkSync("kept", join(directory.path, "link"));
    const files = await FileRequests.open(agent, 1, { cwd: directory.path });
    const flags = WRITE.flags | FileFlag.atomic;
    const exclusive = {
      ...WRITE,
      flags: flags | FileFlag.exclusive,
      path: pathOf("kept"),
      data: pathOf("new"),
    };
    assert.equal(await files.errno("write", exclusive), EEXIST);
    assert.equal(
      await files.errno("write", { ...WRITE, flags, path: pathOf("."), data: pathOf("x") }),
      EISDIR,
    );
    assert.deepEqual(readdirSync(directory.path).sort(), ["kept", "link"]);
    assert.equal(readFileSync(join(directory.path, "kept"), "utf8"), "old");
    // Through a link, the file that it leads to is replaced; its mode stays.
    assert.equal(
      await files.errno("write", { ...WRITE, flags, path: pathOf("link"), data: pathOf("new") }),
      0,
    );
    const [attributes] = await files.call("stat", { path: pathOf("kept"), flags: FileFlag.noFollow });
    assert.deepEqual(
      attributes?.name === "attributes" && [attributes.fields.size, attributes.fields.mode],
      [3, 0o640],
    );
    assert.deepEqual(readdirSync(directory.path).sort(), ["kept", "link"]);
  },
  { skip },
);

test(
  "walk tells holes, links and what it cannot read, and content of a sparse file of 8 TiB takes no time",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    mkdirSync(join(directory.path, "d/e"), { recursive: true });
    writeFileSync(join(directory.path, "sparse"), "start");
    truncateSync(join(directory.path, "sparse"), 8 * 2 ** 40);
    writeFileSync(join(directory.path, "d/e/leaf"), "leaf");
    symlinkSync("/etc/passwd", join(directory.path, "d/link"));
    spawnSync("mkfifo", [join(directory.path, "d/fifo")]);
    const files = await FileRequests.open(agent, 1);
    const walk = { path: pathOf(directory.path), flags: FileFlag.content, depthMax: 0 };
    const answers = await files.call("walk", walk);
    const seen = new Map<string, string[]>();
    let current: string[] = [];
    for (const answer of answers) {
      if (answer.name === "entry") {
        current = [];
        seen.set(Buffer.from(answer.fields.path).toString(), current);
      } else current.push(answer.name === "hole" ? `hole ${answer.fields.size}` : answer.name);
    }
    assert.deepEqual([...seen.keys()].sort(), ["", "d", "d/e", "d/e/leaf", "d/fifo", "d/link", "sparse"]);
    assert.match(String(seen.get("sparse")), /^data,hole 87960930\d+/);
    assert.equal(answers.at(-1)?.name, "done");
    const shallow = await files.call("walk", { ...walk, flags: 0, depthMax: 1 });
    assert.equal(shallow.filter(({ name }) => name === "entry").length, 3);
    const one = await files.call("walk", { ...walk, path: pathOf(join(directory.path, "d/e/leaf")) });
    assert.equal(contentOf(one), "leaf");
  },
  { skip },
);

test(
  "remove and walk take trees that are deeper than any path is long",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const script = 'for (1..500) { mkdir "a-deep-one" or die $!; chdir "a-deep-one" or die $! }';
    const made = spawnSync("perl", ["-e", script], { cwd: directory.path, encoding: "utf8" });
    assert.equal(made.status, 0, made.stderr);
    const files = await FileRequests.open(agent, 1, { cwd: directory.path });
    const walked = await files.call("walk", { path: pathOf("."), flags: 0, depthMax: 0 });
    assert.ok(walked.some(({ name }) => name === "unread")); // below PATH_MAX all of it, then that there is more
    assert.equal(await files.errno("remove", { path: pathOf("a-deep-one"), flags: 0 }), ENOTEMPTY);
    assert.equal(await files.errno("remove", { path: pathOf("a-deep-one"), flags: FileFlag.recursive }), 0);
    assert.deepEqual(readdirSync(directory.path), []);
  },
  { skip },
);

test(
  "copy never copies a directory into itself",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    mkdirSync(join(directory.path, "a/b"), { recursive: true });
    const files = await FileRequests.open(agent, 1, { cwd: directory.path });
    const flags = FileFlag.recursive;
    assert.equal(await files.errno("copy", { from: pathOf("a"), to: pathOf("a/b/c"), flags }), EINVAL);
    assert.equal(await files.errno("copy", { from: pathOf("a"), to: pathOf("x"), flags: 0 }), EISDIR);
  },
  { skip },
);

test(
  "watch tells of every change below a directory, of new directories too, and ends when what it watches is gone",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const root = join(directory.path, "root");
    mkdirSync(join(root, "sub"), { recursive: true });
    const files = await FileRequests.open(agent, 1);
    files.send("watch", { path: pathOf(root), flags: FileFlag.recursive });
    assert.equal((await files.next())?.name, "opened");
    const script = `echo 1 > a; echo 2 > sub/b; mkdir -p new/deep; echo 3 > new/deep/c; mv a sub/a; mv sub moved; echo 4 > moved/d; rm moved/b; rm -r ../root`;
    assert.equal(spawnSync("sh", ["-c", script], { cwd: root }).status, 0);
    const kinds = Object.fromEntries(Object.entries(FileChange).map(([name, kind]) => [kind, name]));
    const seen: string[] = [];
    for (;;) {
      const answer = await files.next();
      if (answer === undefined || answer.name === "done") break;
      assert.equal(answer.name, "change");
      if (answer.name === "change")
        seen.push(`${kinds[answer.fields.kind]} ${Buffer.from(answer.fields.path).toString()}`);
    }
    for (const expected of [
      "created a",
      "modified a",
      "created sub/b",
      "created new",
      "created new/deep",
      "created new/deep/c",
      "movedFrom a",
      "movedTo sub/a",
      "movedFrom sub",
      "movedTo moved",
      "removed moved/b",
      "gone ",
    ])
      assert.ok(seen.includes(expected), `${expected} is missing of:\n${seen.join("\n")}`);
    await processEnd(files.pid);
  },
  { skip },
);

test(
  "watch ends with its client while nothing changes",
  async () => {
    await using agent = await NativeAgent.start();
    using directory = temporaryDirectory();
    const files = await FileRequests.open(agent, 1);
    assert.equal(await files.errno("watch", { path: pathOf("/nowhere"), flags: 0 }), ENOENT);
    files.send("watch", { path: pathOf(directory.path), flags: 0 });
    assert.equal((await files.next())?.name, "opened");
    agent.send("close", 1, {});
    await processEnd(files.pid);
  },
  { skip },
);
