/** Many jobs at once, in a VM without a machine (`fake_qemu.ts`): each is found, waited for and forgotten in its time. @module */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Job, type JobOutputOptions, MissedRotationError, Sandbox } from "../../mod.ts";
import { MiB } from "../../src/base/bytes.ts";
import { ENDED_JOBS_MAX } from "../../src/state/jobs.ts";
import { runCli } from "../support/cli/cli.ts";
import { FakeQemu, fakeQemuProblem } from "../support/guest/fake_qemu.ts";
import { homeTest } from "../support/vm/vm.ts";

const AT_ONCE = 200;
/** Five files of ten. */
const MORE_THAN_THE_LOG_KEEPS = 64 * MiB;
const OPTIONS = { cwd: "/", env: { PATH: "/usr/bin:/bin" } };

/** Runs `body` with a sandbox whose programs are this machine's. */
async function withSandbox(scratch: string, body: (sandbox: Sandbox) => Promise<void>): Promise<void> {
  using _qemu = new FakeQemu(scratch, 0);
  const image = join(scratch, "small");
  mkdirSync(image);
  writeFileSync(join(image, "file"), "");
  const sandbox = await Sandbox.create({ name: "many", image, memoryMiB: 64, diskMiB: 64 });
  try {
    await body(sandbox);
  } finally {
    await sandbox.destroy({ force: true });
  }
}

homeTest(
  `Sandbox.startJob() starts ${AT_ONCE} jobs at once, and each is waited for by another caller`,
  ({ scratch }) =>
    withSandbox(scratch, async (sandbox) => {
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
    }),
  { missing: fakeQemuProblem },
);

homeTest(
  "Job.output() and msb job logs tell that the beginning is gone, and go on with what is left",
  ({ scratch }) =>
    withSandbox(scratch, async (sandbox) => {
      const script = `head -c ${MORE_THAN_THE_LOG_KEEPS} /dev/zero | tr '\\0' x; echo; echo END`;
      const job = await sandbox.startJob("sh", ["-c", script], { ...OPTIONS, name: "large" });
      await job.wait();
      let missed: unknown;
      await outputOf(job).catch((error: unknown) => {
        missed = error;
      });
      assert.ok(missed instanceof MissedRotationError && missed.lostGenerations > 0, String(missed));
      const rest = await outputOf(job, { fromCursor: missed.cursor });
      assert.ok(rest.endsWith("x\nEND\n") && rest.length < MORE_THAN_THE_LOG_KEEPS);
      const { status, stdout, stderr } = await runCli(["job", "logs", "-f", "many", "large"]);
      assert.deepEqual([status, stdout.length], [0, rest.length]);
      assert.match(stderr, /^warning: .*removed/);
    }),
  { missing: fakeQemuProblem },
);

async function outputOf(job: Job, options: JobOutputOptions = {}): Promise<string> {
  let text = "";
  for await (const entry of await job.output({ follow: true, ...options })) text += entry.text();
  return text;
}
