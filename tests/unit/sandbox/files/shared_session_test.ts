/** Which calls share a session, and what becomes of it. @module */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { setImmediate } from "node:timers";
import { FILE_DATA_BYTES_MAX } from "../../../../src/agent/file_messages.ts";
import { SandboxFsOps } from "../../../../src/sandbox/files/fs_ops.ts";
import { attributes, FakeFileGuest } from "../../../support/guest/fake_files.ts";
import { fileTest, rootProblem, sessionPids } from "../../../support/guest/native_files.ts";
import { test } from "../../../support/harness.ts";
import { eventually } from "../../../support/processes.ts";

function filesOf(guest: FakeFileGuest): SandboxFsOps {
  return new SandboxFsOps({ connect: async () => guest.client }, { user: "", cwd: "/" });
}

fileTest(
  "SandboxFsOps uses one session for all small calls of a user, which ends when it is idle",
  async ({ fs, at, host }) => {
    for (let i = 0; i < 20; i++) await fs.write(at(`${i}`), "x");
    const [pid] = sessionPids(host);
    await Promise.all(Array.from({ length: 200 }, (_, i) => fs.read(at(`${i % 20}`))));
    assert.deepEqual(sessionPids(host), [pid]);
    await fs.stat("/", { user: "nobody" });
    assert.equal(sessionPids(host).length, 2);
    await eventually(() => assert.deepEqual(sessionPids(host), []));
    assert.equal(await fs.readToString(at("0")), "x");
  },
  { skip: rootProblem },
);

fileTest(
  "SandboxFsOps leaves nothing behind after 10,000 small writes and 200 concurrent calls of all kinds",
  async ({ fs, at, host }) => {
    const descriptors = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
    const before = { guest: descriptors(host.guestPid), own: descriptors(process.pid) };
    await fs.mkdir(at("many"));
    for (let i = 0; i < 10_000; i += 100)
      await Promise.all(
        Array.from({ length: 100 }, (_, j) => fs.write(at(`many/${(i + j) % 500}`), `${i + j}`)),
      );
    assert.equal(readFileSync(at("many/499"), "utf8"), "9999");
    const large = new Uint8Array(2 * FILE_DATA_BYTES_MAX);
    const calls = Array.from({ length: 200 }, async (_, i) => {
      if (i % 4 === 0) await fs.write(at(`large-${i}`), large);
      else if (i % 4 === 1) await fs.copy(at("many"), at(`copy-${i}`), { recursive: true }).catch(() => {});
      else if (i % 4 === 2) await fs.read("/dev/zero", { length: large.length });
      else await fs.list(at("many"));
    });
    await Promise.all(calls);
    await eventually(() => assert.deepEqual(sessionPids(host), []));
    await eventually(() => {
      assert.ok(descriptors(host.guestPid) <= before.guest, "descriptors of the agent");
      assert.ok(descriptors(process.pid) <= before.own + 5, "descriptors of this process");
    });
  },
  { timeoutMs: 170_000 },
);

fileTest("SandboxFsOps goes on in a new session if its own is killed", async ({ fs, at, host }) => {
  await fs.write(at("file"), "x");
  const [pid] = sessionPids(host);
  process.kill(pid!, "SIGKILL");
  await eventually(async () => assert.equal(await fs.readToString(at("file")), "x"));
});

fileTest("SandboxFsOps rejects calls under way with how their session ended", async ({ fs, at, host }) => {
  await fs.write(at("file"), "x");
  const [pid] = sessionPids(host);
  process.kill(pid!, "SIGSTOP");
  const call = fs.read(at("file"));
  process.kill(pid!, "SIGKILL");
  await assert.rejects(call, {
    code: "sandboxFsOps",
    kind: "other",
    message:
      /^Cannot read ".*" in the sandbox: the process that works on files in the sandbox was killed by signal 9$/,
  });
});

fileTest(
  "SandboxFsOps sends new calls elsewhere while one hangs, and ends the session that hung",
  async (files) => {
    const { fs, at, host } = files;
    await fs.write(at("file"), "x");
    const [hung] = sessionPids(host);
    process.kill(hung!, "SIGSTOP");
    const abort = new AbortController();
    const call = fs.read(at("file"), { signal: abort.signal });
    const other = fs.read(at("file"), { signal: abort.signal });
    abort.abort("enough");
    await assert.rejects(call, { code: "aborted", cause: "enough" });
    await assert.rejects(other, { code: "aborted" });
    assert.equal(await fs.readToString(at("file")), "x");
    await eventually(() =>
      assert.ok(!sessionPids(host).includes(hung!), "the session that hung is still there"),
    );
  },
);

fileTest("SandboxFsOps rejects the calls behind one that hung and was given up", async ({ fs, at, host }) => {
  await fs.write(at("file"), "x");
  const [hung] = sessionPids(host);
  process.kill(hung!, "SIGSTOP");
  const abort = new AbortController();
  const call = fs.read(at("file"), { signal: abort.signal });
  const behind = fs.write(at("file"), "y");
  await new Promise((resolve) => setImmediate(resolve)); // both are sent
  abort.abort("enough");
  await assert.rejects(call, { code: "aborted" });
  await assert.rejects(behind, { kind: "other", message: /: a call before it hung and was given up/ });
  assert.equal(await fs.readToString(at("file")), "x");
  await eventually(() =>
    assert.ok(!sessionPids(host).includes(hung!), "the session that hung is still there"),
  );
});

test("SandboxFsOps does not wait behind a call that hangs without a signal", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => {
    if (peer !== guest.sessions[0]) peer.answer("attributes", id, attributes());
  });
  const fs = filesOf(guest);
  const hanging = [fs.realPath("/dead")];
  let isAnswered = false;
  await eventually(() => {
    const call = fs.stat("/x").then(() => {
      isAnswered = true;
      return "answered";
    });
    hanging.push(call);
    assert.ok(isAnswered, "calls still go to the session that hangs");
  });
  assert.equal(guest.sessions.length, 2);
  assert.equal(guest.sessions[0]?.isClosed, false, "calls are still under way in it");
  guest.client.close();
  const [first] = await Promise.allSettled(hanging);
  assert.equal(first?.status === "rejected" && first.reason.code, "agentDisconnected");
});

test("SandboxFsOps rejects with the reason while the sandbox is paused, and works again afterwards", async () => {
  const guest = await FakeFileGuest.start((peer, { id }) => peer.answer("attributes", id, attributes()));
  const fs = filesOf(guest);
  await fs.stat("/x");
  guest.refusal = { kind: 12, errno: 0, message: "the sandbox is paused" };
  guest.sessions[0]?.refuse(guest.refusal);
  for (const call of [() => fs.stat("/x"), () => fs.readStream("/x"), () => fs.copy("/x", "/y")])
    await assert.rejects(call(), {
      name: "SandboxFsOpsError",
      kind: "paused",
      summary: /the sandbox is paused$/,
      hint: "resume() lets the sandbox go on",
    });
  guest.refusal = undefined;
  assert.equal((await fs.stat("/x")).kind, "file");
});

test("SandboxFsOps ends a session that lies, and goes on in another", async () => {
  let isHonest = false;
  const guest = await FakeFileGuest.start((peer, { id }) => {
    if (isHonest) peer.answer("attributes", id, attributes());
    else peer.answer("path", id, { path: new Uint8Array(1) });
  });
  const fs = filesOf(guest);
  await assert.rejects(fs.stat("/x"), { code: "protocol" });
  isHonest = true;
  assert.equal((await fs.stat("/x")).kind, "file");
});

test("SandboxFsOps.read() of a guest that lies about sizes takes no more than bytesMax", async () => {
  let sent = 0;
  const guest = await FakeFileGuest.start((peer, request) => {
    if (request.name !== "read") return;
    peer.answer("opened", request.id, attributes({ size: 3 }));
    const { length } = request.fields;
    for (let rest = length; rest > 0; rest -= FILE_DATA_BYTES_MAX) {
      const data = new Uint8Array(Math.min(rest, FILE_DATA_BYTES_MAX));
      sent += data.length;
      peer.answer("data", request.id, { data });
    }
    peer.answer("done", request.id, {});
  });
  const fs = filesOf(guest);
  await assert.rejects(fs.read("/x", { bytesMax: 300_000 }), { code: "fileLimit" });
  assert.ok(sent <= FILE_DATA_BYTES_MAX + 300_001);
  guest.handle = (peer, { id }) => {
    peer.answer("opened", id, attributes({ size: 2 ** 52 }));
    peer.answer("done", id, {});
  };
  assert.equal((await fs.read("/x", { length: 1_000_000 })).length, 0);
});
