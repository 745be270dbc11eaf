/**
 * Names, identities and handles: who has a name, who gets it, and what an old handle may still do.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  AgentDisconnectedError,
  InvalidConfigError,
  Sandbox,
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  SandboxNotRunningError,
  SandboxReplacedError,
  SandboxStillRunningError,
} from "../../mod.ts";
import { eventually, hostProcesses } from "../support/processes.ts";
import { Peer, PeerError } from "../support/vm/peer.ts";
import { discard, homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const NAME = "subject";
/** A program that says so when it is asked to end. */
const POLITE = "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done";

homeTest("a running sandbox can be neither started nor removed", async ({ create }) => {
  const sandbox = await create();
  const handle = await Sandbox.get(NAME);
  assert.equal(handle.status, "running");
  assert.equal(handle.id, sandbox.id);
  await assert.rejects(Sandbox.start(NAME), SandboxStillRunningError);
  await assert.rejects(handle.start(), SandboxStillRunningError);
  await assert.rejects(Sandbox.remove(NAME), SandboxStillRunningError);
  await assert.rejects(handle.remove(), SandboxStillRunningError);
  assert.equal((await sandbox.exec("true")).code, 0);
});

homeTest("a removed sandbox is not found, by name or by handle", async ({ create }) => {
  const sandbox = await create();
  await sandbox.stop();
  const handle = await Sandbox.get(NAME);
  await Sandbox.remove(NAME);
  await assert.rejects(Sandbox.get(NAME), SandboxNotFoundError);
  await assert.rejects(Sandbox.start(NAME), SandboxNotFoundError);
  await assert.rejects(Sandbox.remove(NAME), SandboxNotFoundError);
  await assert.rejects(handle.refresh(), SandboxNotFoundError);
  await assert.rejects(handle.remove(), SandboxNotFoundError);
  await assert.rejects(sandbox.exec("true"), SandboxNotFoundError);
});

homeTest("create() refuses a name that is taken, whether it runs or not", async ({ create }) => {
  const sandbox = await create();
  await assert.rejects(create(), SandboxAlreadyExistsError);
  assert.equal((await sandbox.exec("true")).code, 0);
  await sandbox.stop();
  await assert.rejects(create(), SandboxAlreadyExistsError);
  assert.equal((await Sandbox.get(NAME)).id, sandbox.id);
});

homeTest(
  "replace() ends the old sandbox in order, and nothing of it is in the new one",
  async ({ create }) => {
    const old = await create();
    await old.shell("echo old > /root/old");
    const run = await old.execStream("sh", ["-c", POLITE]);
    const words = new Response(run.stdout).text();
    const replacement = await create({ replace: true });
    assert.equal(await words, "up\nasked\n");
    assert.notEqual(replacement.id, old.id);
    assert.equal((await replacement.exec("test", ["-e", "/root/old"])).code, 1);
  },
);

homeTest("replaceWithTimeout(0) does not ask the old sandbox", async ({ create, image }) => {
  const old = await create();
  const run = await old.execStream("sh", ["-c", POLITE]);
  const reader = run.stdout.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "up\n");
  const rest = assert.rejects(reader.read(), AgentDisconnectedError);
  const builder = Sandbox.builder(NAME).image(image).memory(MEMORY_MIB);
  const replacement = await builder.replaceWithTimeout(0).create();
  await rest;
  assert.equal((await replacement.exec("true")).code, 0);
});

homeTest("a handle never acts on a namesake that took its place", async ({ create }) => {
  const old = await create();
  const handle = await Sandbox.get(NAME);
  const replacement = await create({ replace: true });
  await assert.rejects(handle.stop(), SandboxReplacedError);
  await assert.rejects(handle.kill(), SandboxReplacedError);
  await assert.rejects(handle.start(), SandboxReplacedError);
  await assert.rejects(handle.remove(), SandboxReplacedError);
  await assert.rejects(handle.refresh(), SandboxReplacedError);
  await assert.rejects(handle.connect(), SandboxReplacedError);
  await assert.rejects(old.exec("true"), SandboxReplacedError);
  await assert.rejects(old.stop(), SandboxReplacedError);
  assert.equal((await replacement.exec("true")).code, 0);
});

homeTest("create() of one name by several at once: exactly one wins", async ({ home, create }) => {
  const tries = await Promise.allSettled([create(), create(), create()]);
  assert.equal(tries.filter(({ status }) => status === "fulfilled").length, 1);
  for (const result of tries) {
    if (result.status === "rejected") assert.ok(result.reason instanceof SandboxAlreadyExistsError);
  }
  assert.equal(hostProcesses(home).length, 1);
});

homeTest("create() of one name by two processes at once: exactly one wins", async ({ home, image }) => {
  await using first = new Peer();
  await using second = new Peer();
  const request = { action: "create", options: { name: NAME, image, memoryMiB: MEMORY_MIB } } as const;
  const tries = await Promise.allSettled([first.ask(request), second.ask(request)]);
  const losers = tries.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
  assert.deepEqual(
    losers.map((error) => (error instanceof PeerError ? error.code : String(error))),
    ["sandboxAlreadyExists"],
  );
  const winner = tries[0].status === "fulfilled" ? first : second;
  assert.equal(await winner.ask({ action: "exec", name: NAME, argv: ["echo", "won"] }), "won\n");
  assert.equal(hostProcesses(home).length, 1);
  await discard(NAME);
});

homeTest("replace() by two processes at once leaves one sandbox that runs", async ({ home, image }) => {
  await using first = new Peer();
  await using second = new Peer();
  const options = { name: NAME, image, memoryMiB: MEMORY_MIB, replace: { graceMs: 0 } };
  const tries = await Promise.allSettled(
    [first, second].map((peer) => peer.ask({ action: "create", options })),
  );
  const handle = await Sandbox.get(NAME);
  assert.equal(handle.status, "running");
  const answers = tries.map((result) => {
    if (result.status === "fulfilled") return result.value === handle.id ? "has it" : "had it";
    assert.ok(result.reason instanceof PeerError, String(result.reason));
    assert.match(result.reason.message, /the VM host process ended/);
    return result.reason.code;
  });
  // The other one's sandbox was replaced: when it was up, or before.
  const [has, other = ""] = answers.toSorted((a, b) => Number(b === "has it") - Number(a === "has it"));
  assert.equal(has, "has it");
  assert.ok(["had it", "bootStart"].includes(other), other);
  assert.equal(hostProcesses(home).length, 1);
  assert.equal((await (await handle.connect()).exec("true")).code, 0);
  await discard(NAME);
});

homeTest("list() pages through sandboxes in order, and filters by labels", async ({ create }) => {
  for (const index of [1, 2, 3]) {
    const labels = { index: String(index), parity: index % 2 === 0 ? "even" : "odd" };
    await (await create({ name: `box${index}`, labels })).stopWithTimeout(0);
  }
  const names = async (options: Parameters<typeof Sandbox.list>[0]) =>
    (await Sandbox.list(options)).sandboxes.map(({ name }) => name);
  assert.deepEqual(await names({}), ["box1", "box2", "box3"]);
  assert.deepEqual(await names({ labels: { parity: "odd" } }), ["box1", "box3"]);
  assert.deepEqual(await names({ labels: { parity: "odd", index: "2" } }), []);
  const page = await Sandbox.list({ limit: 2 });
  assert.deepEqual(await names({ limit: 2, cursor: page.nextCursor }), ["box3"]);
  await assert.rejects(Sandbox.list({ limit: 0 }), InvalidConfigError);
  const handle = await Sandbox.get("box1");
  assert.deepEqual(handle.labels, { index: "1", parity: "odd" });
  assert.equal(handle.config().memoryMiB, MEMORY_MIB);
});

homeTest("another process can use a sandbox, leave it, and stop it", async ({ create }) => {
  const sandbox = await create();
  await sandbox.shell("echo shared > /tmp/note");
  await using guest = new Peer();
  assert.equal(await guest.ask({ action: "exec", name: NAME, argv: ["cat", "/tmp/note"] }), "shared\n");
  await guest.kill();
  assert.equal((await sandbox.exec("true")).code, 0, "a client that leaves ends nothing");

  await using other = new Peer();
  const waiting = sandbox.exec("sleep", ["1000"]);
  await sandbox.ping(); // it has been asked for
  await other.ask({ action: "stop", name: NAME });
  assert.equal((await waiting).status.signal, 15);
  assert.equal((await Sandbox.get(NAME)).status, "stopped");
  // This process may hear of it a moment later than the one that asked.
  await eventually(() => assert.rejects(sandbox.exec("true"), SandboxNotRunningError));
});
