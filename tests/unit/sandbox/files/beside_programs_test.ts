/** Files and programs at once, many of them, against a real agent. @module */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import type { ExecStart } from "../../../../src/agent/exec_opening.ts";
import { MiB } from "../../../../src/base/bytes.ts";
import { run } from "../../../support/guest/exec_sessions.ts";
import { fileTest, sessionPids } from "../../../support/guest/native_files.ts";
import { eventually } from "../../../support/processes.ts";

const PROGRAMS = 200;
const STREAMS = 50;
const STREAM_BYTES = 2 * MiB;
const IN_A_ROW = 10_000;
/** Enough for what a runtime has loaded by then. */
const WARM_UP = 500;
const GROWTH_BYTES_MAX = 10 * MiB;

function programOf(...argv: string[]): ExecStart {
  return { argv, env: [], cwd: "/", user: "", rlimits: [], stdin: false };
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function residentBytes(pid: number): number {
  const [, kib] = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kib) * 1024;
}

fileTest(
  "200 programs run beside 50 streams of files, and each gets what is its own",
  async ({ fs, at, host, client }) => {
    const shared = { connect: async () => client };
    const content = (stream: number) => new Uint8Array(STREAM_BYTES).fill(stream + 1);
    const streams = Array.from({ length: STREAMS }, async (_, stream) => {
      if (stream % 2 === 0) await fs.write(at(`${stream}`), new Blob([content(stream)]).stream());
      else {
        await fs.write(at(`${stream}`), content(stream));
        const read = await (await fs.readStream(at(`${stream}`))).collect();
        assert.deepEqual(read, content(stream));
      }
    });
    const programs = Array.from({ length: PROGRAMS }, async (_, index) => {
      const program = await run(shared, programOf("sh", "-c", `echo ${index}; sleep 0.2; exit ${index}`));
      const output = await program.collect();
      assert.deepEqual([output.code, output.stdout()], [index, `${index}\n`]);
    });
    await Promise.all([...streams, ...programs]);
    for (let stream = 0; stream < STREAMS; stream += 2)
      assert.deepEqual(new Uint8Array(readFileSync(at(`${stream}`))), content(stream));
    await eventually(() => assert.deepEqual(sessionPids(host), []));
  },
  { timeoutMs: 170_000 },
);

fileTest(
  "10,000 programs and 10,000 small writes in a row leave no descriptor, no zombie and no memory behind",
  async ({ fs, at, host, client }) => {
    const shared = { connect: async () => client };
    const one = async (index: number) => {
      const program = await run(shared, programOf("true"));
      assert.equal((await program.wait()).code, 0);
      await fs.write(at("file"), String(index));
    };
    for (let index = 0; index < WARM_UP; index++) await one(index);
    const before = { descriptors: descriptors(host.guestPid), bytes: residentBytes(host.guestPid) };
    for (let index = 0; index < IN_A_ROW; index++) await one(index);
    await eventually(() => assert.deepEqual(sessionPids(host), []));
    assert.ok(descriptors(host.guestPid) <= before.descriptors);
    assert.ok(residentBytes(host.guestPid) - before.bytes < GROWTH_BYTES_MAX);
    assert.equal(readFileSync(at("file"), "utf8"), String(IN_A_ROW - 1));
  },
  { timeoutMs: 300_000 },
);
