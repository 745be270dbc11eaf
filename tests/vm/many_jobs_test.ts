/** Many jobs at once, in a VM without a machine (`fake_qemu.ts`): each is found, waited for and forgotten in its time. @module */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox } from "../../mod.ts";
import { ENDED_JOBS_MAX } from "../../src/state/jobs.ts";
import { FakeQemu, fakeQemuProblem } from "../support/guest/fake_qemu.ts";
import { homeTest } from "../support/vm/vm.ts";

const AT_ONCE = 200;
const OPTIONS = { cwd: "/", env: { PATH: "/usr/bin:/bin" } };

homeTest(
  `Sandbox.startJob() starts ${AT_ONCE} jobs at once, and each is waited for by another caller`,
  async ({ scratch }) => {
    using _qemu = new FakeQemu(scratch, 0);
    const image = join(scratch, "small");
    mkdirSync(image);
    writeFileSync(join(image, "file"), "");
    const sandbox = await Sandbox.create({ name: "many", image, memoryMiB: 64, diskMiB: 64 });
    try {
      const handle = await Sandbox.get("many");
      const numbers = Array.from({ length: AT_ONCE }, (_, number) => number);
      const codes = await Promise.all(
        numbers.map(async (number) => {
          const script = `echo ${number}; exit ${number % 100}`;
          const { id } = await sandbox.startJob("sh", ["-c", script], { ...OPTIONS, name: `job-${number}` });
          const job = await handle.job(id);
          const [{ code }, text] = await Promise.all([job.wait(), outputOf(job)]);
          assert.equal(text, `${number}\n`);
          return code;
        }),
      );
      assert.deepEqual(
        codes,
        numbers.map((number) => number % 100),
      );
      const jobs = await handle.jobs();
      assert.equal(jobs.length, AT_ONCE);
      assert.ok(jobs.every(({ status }) => status === "exited"));
      assert.ok(AT_ONCE < ENDED_JOBS_MAX);
    } finally {
      await sandbox.destroy({ force: true });
    }
  },
  { missing: fakeQemuProblem },
);

async function outputOf(job: Awaited<ReturnType<Sandbox["job"]>>): Promise<string> {
  let text = "";
  for await (const entry of await job.output({ follow: true })) text += entry.text();
  return text;
}
