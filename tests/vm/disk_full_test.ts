/**
 * Full disks: the guest's own, and the host's under a creation and under a running guest.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { doctor, IoError, MicrosandboxError, Sandbox, SandboxNotFoundError } from "../../mod.ts";
import { temporaryDirectory } from "../support/harness.ts";
import { assertNothingLeft, eventually } from "../support/processes.ts";
import { homeTest, type TestHome, withTestHome } from "../support/vm/vm.ts";

const MiB = 1024 * 1024;
/** Enough for kernel, image, state database and a sandbox that writes nothing. */
const ROOMY_MIB = 48;
/** Where a creation runs out of room: in the state database, in the image, and in the kernel's file, which only QEMU needs. */
const TIGHT_KIB = { krun: [32, 512, 1024], qemu: [32, 512, 1024, 3 * 1024, 12 * 1024] };

/** Mounting needs privileges. */
const mountProblem = findMountProblem();

homeTest("a guest that fills its disk gets ENOSPC, and goes on", async ({ create }) => {
  const sandbox = await create({ diskMiB: 64 });
  const fill = await sandbox.exec("dd", ["if=/dev/zero", "of=/fill", "bs=1M"]);
  assert.equal(fill.code, 1);
  assert.match(fill.stderr(), /No space left on device/);
  assert.equal((await sandbox.shell("rm /fill && echo room > /note && cat /note")).stdout(), "room\n");
  await sandbox.stop();
  const again = await Sandbox.start(sandbox.name);
  assert.equal((await again.exec("cat", ["/note"])).stdout(), "room\n");
});

homeTest(
  "create() on a full disk of the host says so, and leaves nothing",
  async ({ image }) => {
    const { engine = "qemu" } = await doctor();
    for (const sizeKiB of TIGHT_KIB[engine]) {
      await inSmallHome(sizeKiB, async ({ home }) => {
        const error = await Sandbox.create({ name: "full", image, memoryMiB: 128 }).catch((reason) => reason);
        assert.ok(MicrosandboxError.is(error), `${sizeKiB} KiB: ${String(error)}`);
        assert.match(codesOf(error), /diskFull|database/, `${sizeKiB} KiB: ${error.message}`);
        await assertNothingLeft(home);
        const state = await Sandbox.get("full").catch((reason) => reason);
        assert.ok(state instanceof SandboxNotFoundError || state.code === "database", String(state));
      });
    }
  },
  { missing: mountProblem },
);

homeTest(
  "a guest hears of a full disk of the host, and its sandbox can be used again afterwards",
  async ({ image }) => {
    await inSmallHome(ROOMY_MIB * 1024, async ({ home }) => {
      const options = { name: "full", image, memoryMiB: 128 };
      const sandbox = await Sandbox.create(options);
      await sandbox.shell("echo safe > /note; sync");
      const ballast = join(home, "ballast");
      const { bavail, bsize } = statfsSync(home);
      writeFileSync(ballast, new Uint8Array(bavail * bsize - 2 * MiB));
      const fill = await sandbox.shell("dd if=/dev/zero of=/fill bs=1M count=32 conv=fsync");
      assert.match(fill.stderr(), /I\/O error|Input\/output|Read-only|No space/);
      assert.equal((await sandbox.exec("cat", ["/note"])).stdout(), "safe\n", "it still answers");

      // There may be no room to note the end, either.
      await sandbox.kill().catch((error) => assert.ok(MicrosandboxError.is(error), String(error)));
      rmSync(ballast);
      await eventually(async () => {
        const { status } = await Sandbox.get("full");
        assert.ok(status === "stopped" || status === "crashed", status);
      });
      const again = await Sandbox.start("full");
      assert.equal((await again.exec("cat", ["/note"])).stdout(), "safe\n");
      await again.kill();
      await Sandbox.remove("full");
    });
  },
  { missing: mountProblem },
);

/** Runs `body` with a home on a file system of its own. */
async function inSmallHome(sizeKiB: number, body: (test: TestHome) => Promise<void>): Promise<void> {
  using directory = temporaryDirectory();
  const mountPoint = join(directory.path, "mount");
  mkdirSync(mountPoint);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${sizeKiB}k`, "tmpfs", mountPoint], { stdio: "pipe" });
  try {
    await withTestHome(body, mountPoint);
  } finally {
    execFileSync("umount", ["--lazy", mountPoint]);
    assert.deepEqual(readdirSync(mountPoint), []);
  }
}

/** The codes of an error and of what is behind it. */
function codesOf(error: unknown): string {
  if (!MicrosandboxError.is(error)) return "";
  return `${error.code} ${error instanceof IoError ? error.errno : ""} ${codesOf(error.cause)}`;
}

function findMountProblem(): string | undefined {
  if (process.env["MSB_ONLY_IGNORED"] !== "1") return undefined; // it does not run anyway
  using directory = temporaryDirectory();
  try {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", directory.path], { stdio: "pipe" });
    execFileSync("umount", [directory.path]);
    return undefined;
  } catch {
    return "this user may not mount a tmpfs";
  }
}
