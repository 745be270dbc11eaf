/** File sessions as streams: how they start, what holds them up, how they end. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileFlag } from "../../../src/agent/file_messages.ts";
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
