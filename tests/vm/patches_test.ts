/**
 * Patches in real guests, and creators that are killed while they apply them.
 *
 * The VM of the latter is one without a machine (`fake_qemu.ts`). `MSB_PATCH_KILLS=100` is the whole proof; `MSB_TEST_SEED` replays
 * the choices.
 *
 * @module
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  MicrosandboxError,
  Patch,
  PatchFailedError,
  Sandbox,
  SandboxNotFoundError,
  Snapshot,
} from "../../mod.ts";
import { countFrom } from "../support/count.ts";
import { FakeQemu, fakeQemuProblem } from "../support/guest/fake_qemu.ts";
import { temporaryDirectory } from "../support/harness.ts";
import { eventually, hostProcesses, kill, processesOf } from "../support/processes.ts";
import { seededRandom } from "../support/random.ts";
import { Peer, PeerError } from "../support/vm/peer.ts";
import { homeTest } from "../support/vm/vm.ts";

const KILLS = countFrom("MSB_PATCH_KILLS", 16);
/** The last of these is the result of a complete creation. */
const FILES = 300;

async function output(sandbox: Sandbox, script: string): Promise<string> {
  const result = await sandbox.shell(script);
  assert.equal(result.code, 0, `${script}:\n${result.stdout()}${result.stderr()}`);
  return result.stdout();
}

homeTest(
  "patches: they are there before any program runs, once, and after a kill",
  async ({ create, image }) => {
    using host = temporaryDirectory();
    mkdirSync(join(host.path, "tree"));
    writeFileSync(join(host.path, "tree/big"), new Uint8Array(2_000_000));
    writeFileSync(join(host.path, "conf"), "from the host");
    const copies = Array.from({ length: 20 }, (_, n) => Patch.copyDir(join(host.path, "tree"), `/srv/${n}`));
    const patches = [
      Patch.text("/etc/greeting", "hi\n"),
      Patch.append("/etc/greeting", "there\n"),
      Patch.append("/etc/hosts", "127.0.0.1 app.local\n"),
      Patch.mkdir("/data", { mode: 0o700 }), // before anything is mounted in it
      Patch.remove("/bin/none"),
      Patch.copyFile(join(host.path, "conf"), "/etc/app.conf", { mode: 0o600 }),
      Patch.symlink("app.conf", "/etc/link.conf"),
      ...copies,
      Patch.text("/etc/last", "last"),
    ];
    let early: Promise<string> | undefined;
    const connectEarly = async () => {
      const handle = await Sandbox.get("subject");
      assert.equal(handle.status, "creating");
      const other = await handle.connectWithTimeout(120_000);
      return (await other.exec("cat", ["/etc/last"])).stdout();
    };
    const steps: string[] = [];
    const sandbox = await Sandbox.create(
      {
        name: "subject",
        image,
        memoryMiB: 128,
        user: "1000",
        patches,
        mounts: { "/data/in": { tmpfs: true } },
      },
      {
        onStep: (step) => {
          steps.push(step);
          if (step === "root") early = connectEarly();
        },
      },
    );
    assert.equal(steps.at(-1), "patches");
    assert.equal(await early, "last", "another process came in before the last patch");
    const asRoot = { user: "root" };
    const seen =
      "stat -c '%U %a' /etc/app.conf /data; cat /etc/link.conf /etc/greeting; grep -c . /etc/hosts; grep app /etc/hosts; ls /srv | wc -l";
    const expected = "root 600\nroot 700\nfrom the hosthi\nthere\n4\n127.0.0.1 app.local\n20\n";
    const look = async (where: Sandbox) => (await where.exec("sh", ["-c", seen], asRoot)).stdout();
    assert.equal(await look(sandbox), expected);
    await sandbox.kill();
    const again = await Sandbox.start("subject");
    assert.equal(await look(again), expected, "after a kill");
    await again.stop();
    await Snapshot.create({ name: "patched", from: "subject" });
    await (await Sandbox.get("subject")).remove();

    const failing = create({ patches: [Patch.mkdir("/a"), Patch.text("/etc/passwd", "")] });
    await assert.rejects(failing, (error) => {
      assert.ok(error instanceof PatchFailedError);
      assert.deepEqual([error.index, error.target], [1, "/etc/passwd"]);
      return true;
    });
    await assert.rejects(Sandbox.get("subject"), SandboxNotFoundError);
    const copy = await create({
      image: undefined,
      fromSnapshot: "patched",
      patches: [Patch.append("/etc/greeting", "again\n")],
    });
    assert.equal(await output(copy, "cat /etc/greeting"), "hi\nthere\nagain\n");
    await copy.kill();
    await copy.destroy();
    await (await Snapshot.get("patched")).remove();
  },
);

homeTest(
  `patches: of ${KILLS} creators or hosts that were killed, none leaves a sandbox with some of its patches`,
  async ({ home, scratch }) => {
    using _qemu = new FakeQemu(scratch, 0);
    const image = join(scratch, "small");
    mkdirSync(image);
    writeFileSync(join(image, "file"), "");
    const random = seededRandom("patch kills");
    const counts = { gone: 0, partly: 0, complete: 0 };
    for (let turn = 0; turn < KILLS; turn++) {
      const guest = join(scratch, `guest${turn}`);
      const patches = Array.from({ length: FILES }, (_, n) => Patch.text(join(guest, String(n)), "x"));
      const name = `box${turn}`;
      const detached = random.pick([true, false]);
      await using peer = new Peer();
      const options = { name, image, memoryMiB: 64, diskMiB: 64, detached, patches };
      let failure = "";
      const created = peer.ask({ action: "create", options }).then(
        () => true,
        (error: unknown) => {
          failure = error instanceof PeerError ? error.code : String(error);
          return false;
        },
      );
      // At some file or other, or at none and so at the end; and perhaps a little later.
      const at = join(guest, String(random.integer(0, Math.ceil(FILES * 1.5))));
      let isCreated = false;
      created.then((is) => {
        isCreated = is;
      });
      while (!existsSync(at) && !isCreated) await delay(1);
      if (random.pick([true, false])) await delay(random.integer(0, 60));
      const isHostKilled = random.pick([true, false]);
      if (isHostKilled) for (const { pid } of hostProcesses(home)) kill(pid);
      else await peer.kill();
      const wasCreated = await created;
      // The error reports the end of the host process, not the end of the connection to it.
      if (!wasCreated) assert.equal(failure, isHostKilled ? "bootStart" : "ended", `turn ${turn}`);
      let status: string | undefined;
      await eventually(async () => {
        const { sandboxes } = await Sandbox.list({ limit: 100 });
        status = sandboxes.find((handle) => handle.name === name)?.status;
        assert.notEqual(status, "creating");
      });
      const files = existsSync(guest) ? readdirSync(guest).length : 0;
      if (status !== undefined) assert.equal(files, FILES, `turn ${turn}: ${status} with ${files} files`);
      if (wasCreated) assert.notEqual(status, undefined, `turn ${turn}: create() resolved`);
      counts[status !== undefined ? "complete" : files > 0 && files < FILES ? "partly" : "gone"]++;
      if (status !== undefined) await (await Sandbox.get(name)).destroy({ force: true });
    }
    console.log(`${counts.partly} killed between patches, ${counts.gone} else, ${counts.complete} complete`);
    assert.ok(counts.partly > 0, "no kill came between two patches");
    assert.ok(counts.complete > 0, "no kill came after the last patch");
  },
  { timeoutMs: 900_000, missing: fakeQemuProblem },
);

homeTest(
  "patches: a guest that hangs, and another process that stops or kills the sandbox, end the creation",
  async ({ home, scratch }) => {
    using _qemu = new FakeQemu(scratch, 0);
    const image = join(scratch, "small");
    mkdirSync(image);
    writeFileSync(join(image, "file"), "");
    const stopAgent = () => {
      const agent = processesOf(home).find(({ commandLine }) => commandLine.includes("agent.sock --fd"));
      process.kill(agent?.pid ?? 0, "SIGSTOP"); // so that the patches are not over first
    };
    const endings = {
      hang: async () => {},
      stop: async (name: string) => (await Sandbox.get(name)).stop(),
      kill: async (name: string) => (await Sandbox.get(name)).kill(),
    };
    const reasons = { hang: /no sign of life for 1000 ms/, stop: /stopped while it booted/, kill: /SIGKILL/ };
    for (const [name, end] of Object.entries(endings)) {
      const guest = join(scratch, name);
      const patches = Array.from({ length: 1000 }, (_, n) => Patch.text(join(guest, String(n)), "x"));
      const created = Sandbox.create({
        ...{ name, image, memoryMiB: 64, diskMiB: 64, patches },
        hangTimeoutMs: name === "hang" ? 1000 : null,
      });
      const failure = created.then(
        () => "",
        (error: unknown) => `${MicrosandboxError.is(error) ? error.code : ""} ${error}`,
      );
      while (!existsSync(join(guest, "3"))) await delay(1);
      assert.equal((await Sandbox.get(name)).status, "creating");
      stopAgent();
      await end(name);
      const reason = await failure;
      assert.match(reason, /^bootStart /, name);
      assert.match(reason, reasons[name as keyof typeof reasons]);
      await assert.rejects(Sandbox.get(name), SandboxNotFoundError);
      assert.ok(!existsSync(join(guest, "999")), name);
    }
  },
  { missing: fakeQemuProblem },
);
