/**
 * Sandboxes and the process that started them: an attached one ends with it, in order; a detached one does not.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Sandbox } from "../../mod.ts";
import { eventually } from "../support/processes.ts";
import { Peer, PeerError } from "../support/vm/peer.ts";
import { discard, homeTest, MEMORY_MIB } from "../support/vm/vm.ts";

const NAME = "owned";
/** Until a sandbox whose owner has gone is stopped. */
const STOPPED_TIMEOUT_MS = 60_000;

homeTest("an attached sandbox stops in order when its owner exits", async ({ image }) => {
  await using owner = new Peer();
  await createAndWrite(owner, image);
  await assert.rejects(owner.ask({ action: "exit" }), PeerError); // it ends instead of answering
  assert.equal(await owner.ended, 0);
  await assertStoppedInOrder();
  await discard(NAME);
});

homeTest("an attached sandbox stops in order when its owner is killed", async ({ image }) => {
  await using owner = new Peer();
  await createAndWrite(owner, image);
  await owner.kill();
  await assertStoppedInOrder();
  await discard(NAME);
});

homeTest("an attached sandbox does not keep its owner from ending", async ({ image }) => {
  await using owner = new Peer();
  await createAndWrite(owner, image);
  owner.letGo();
  assert.equal(await owner.ended, 0);
  await assertStoppedInOrder();
  await discard(NAME);
});

homeTest("a sandbox that was created detached survives its creator", async ({ image }) => {
  await using owner = new Peer();
  await createAndWrite(owner, image, true);
  await owner.kill();
  await assertStillRuns();
});

homeTest("a sandbox survives its creator after detach()", async ({ image }) => {
  await using owner = new Peer();
  await createAndWrite(owner, image);
  await owner.ask({ action: "detach", name: NAME });
  await owner.kill();
  await assertStillRuns();
});

homeTest("Sandbox.start() attaches, and startDetached() does not", async ({ image }) => {
  await using creator = new Peer();
  await createAndWrite(creator, image);
  await creator.ask({ action: "stop", name: NAME });
  await using owner = new Peer();
  await owner.ask({ action: "start", name: NAME });
  await creator.kill();
  assert.equal(await owner.ask({ action: "exec", name: NAME, argv: ["cat", "/root/note"] }), "kept\n");
  await owner.kill();
  await assertStoppedInOrder();

  const detached = await Sandbox.startDetached(NAME);
  assert.equal(detached.ownsLifecycle, false);
  await using _ = detached; // its scope stops what it owns, which is nothing
  assert.equal((await Sandbox.get(NAME)).status, "running");
  await discard(NAME);
});

homeTest("a Sandbox does not stop a boot that is not its own", async ({ create }) => {
  const first = await create({ name: "passed-on" });
  assert.equal(first.ownsLifecycle, true);
  const second = await first.restart({ detached: true });
  assert.deepEqual([first.ownsLifecycle, second.ownsLifecycle], [false, false]);
  await first[Symbol.asyncDispose]();
  assert.equal((await second.exec("true")).code, 0, "it runs on");
  await second.stop();
});

/** Has `owner` create the sandbox and write a file that nobody syncs. */
async function createAndWrite(owner: Peer, image: string, detached = false): Promise<void> {
  await owner.ask({ action: "create", options: { name: NAME, image, memoryMiB: MEMORY_MIB, detached } });
  await owner.ask({ action: "exec", name: NAME, argv: ["sh", "-c", "echo kept > /root/note"] });
}

async function assertStoppedInOrder(): Promise<void> {
  await eventually(async () => assert.equal((await Sandbox.get(NAME)).status, "stopped"), STOPPED_TIMEOUT_MS);
  assert.equal((await Sandbox.get(NAME)).statusReason, "ownerGone");
  const again = await Sandbox.start(NAME);
  assert.equal((await again.exec("cat", ["/root/note"])).stdout(), "kept\n");
  await again.kill();
}

async function assertStillRuns(): Promise<void> {
  const sandbox = await (await Sandbox.get(NAME)).connect();
  assert.equal((await sandbox.exec("cat", ["/root/note"])).stdout(), "kept\n");
  await discard(NAME);
}
