/**
 * What is on disk after a stop, after a kill, and after programs that do not want to end.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { ExecFailedError, Sandbox, Stdin } from "../../mod.ts";
import { seededRandom } from "../support/random.ts";
import { homeTest } from "../support/vm.ts";

const CYCLES = 5;
const BLOB_BYTES_MAX = 1024 * 1024;

homeTest("stop() leaves every write on a clean disk, time after time", async ({ home, create }) => {
  const random = seededRandom("writes before a stop");
  let sandbox = await create();
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    const blob = random.bytes(random.integer(1, BLOB_BYTES_MAX));
    const script = `mkdir -p /data && cat > /data/${cycle} && ln -s ${cycle} /data/link${cycle}`;
    const written = await sandbox.shell(script, { stdin: Stdin.bytes(blob) });
    assert.equal(written.code, 0, written.stderr());
    await sandbox.stop(); // nobody has called sync
    assertCleanDisk(home, sandbox.name);

    sandbox = await Sandbox.start(sandbox.name);
    const sum = await sandbox.exec("sha256sum", [`/data/link${cycle}`]);
    assert.equal(sum.stdout().split(" ")[0], createHash("sha256").update(blob).digest("hex"));
  }
  const names = (await sandbox.exec("ls", ["/data"])).stdout().trim().split("\n");
  assert.equal(names.length, 2 * CYCLES);
});

homeTest(
  "kill() is a power cut: what was synced survives, and the disk recovers",
  async ({ home, create }) => {
    const sandbox = await create();
    await sandbox.shell("echo safe > /root/synced; sync; (while :; do echo x >> /root/growing; done) &");
    await sandbox.kill();
    assert.equal((await Sandbox.get(sandbox.name)).status, "stopped");

    const again = await Sandbox.start(sandbox.name);
    assert.equal((await again.exec("cat", ["/root/synced"])).stdout(), "safe\n");
    assert.equal((await again.shell("echo more > /root/more && rm -f /root/growing")).code, 0);
    await again.stop();
    assertCleanDisk(home, sandbox.name);
  },
);

homeTest("stop() gives programs their grace, and ends those that ignore it", async ({ home, create }) => {
  const sandbox = await create();
  const slow =
    "trap 'sleep 1; echo finished > /root/slow; exit 0' TERM; echo up; while :; do sleep 0.05; done";
  const deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done";
  for (const script of [slow, deaf]) {
    const run = await sandbox.execStream("sh", ["-c", script]);
    assert.equal((await run.stdout.getReader().read()).value?.length, 3);
  }
  await sandbox.stopWithTimeout(5_000);
  assert.equal((await Sandbox.get(sandbox.name)).status, "stopped");
  assertCleanDisk(home, sandbox.name);

  const again = await Sandbox.start(sandbox.name);
  assert.equal((await again.exec("cat", ["/root/slow"])).stdout(), "finished\n");
});

homeTest("stop() is done once however often it is asked for, and takes no new work", async ({ create }) => {
  const sandbox = await create();
  const deaf = await sandbox.execStream("sh", ["-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"]);
  await deaf.stdout.getReader().read();
  const handle = await Sandbox.get(sandbox.name);
  const stops = [sandbox.stopWithTimeout(3_000), handle.stop(), sandbox.stop()];
  while ((await Sandbox.get(sandbox.name)).status === "running") await sandbox.ping();
  await assert.rejects(sandbox.exec("true"), (error: unknown) => {
    assert.ok(error instanceof ExecFailedError, String(error));
    assert.equal(error.kind, "shuttingDown");
    return true;
  });
  await Promise.all(stops);
  assert.equal((await handle.refresh()).status, "stopped");
  await sandbox.stop();
  await handle.kill();
  assert.equal((await handle.refresh()).status, "stopped");
});

homeTest("stopAndWait() returns the final status; stopWithTimeout(0) does not ask", async ({ create }) => {
  const sandbox = await create();
  assert.equal((await sandbox.stopAndWait()).status, "stopped");
  const again = await Sandbox.start(sandbox.name);
  const script = "trap 'echo asked > /root/asked; sync' TERM; echo up; while :; do sleep 0.05; done";
  const run = await again.execStream("sh", ["-c", script]);
  await run.stdout.getReader().read();
  await again.stopWithTimeout(0);
  const last = await Sandbox.start(sandbox.name);
  assert.equal((await last.exec("test", ["-e", "/root/asked"])).code, 1);
});

/** The sandbox's disk, seen from the host: no error, and no journal to replay. */
function assertCleanDisk(home: string, name: string): void {
  const disk = join(home, "sandboxes", name, "upper.ext4");
  execFileSync("e2fsck", ["-fn", disk], { stdio: "pipe" });
  const superblock = execFileSync("dumpe2fs", ["-h", disk], { encoding: "utf8", stdio: "pipe" });
  assert.doesNotMatch(superblock, /needs_recovery/);
  assert.match(superblock, /Filesystem state: +clean/);
}
