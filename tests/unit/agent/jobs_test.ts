import assert from "node:assert/strict";
import { AgentJobs } from "../../../src/agent/jobs.ts";
import { test } from "../../support/harness.ts";
import { script } from "../../support/host/in_process_host.ts";

test("AgentJobs cuts a long command, between characters, and keeps a short one as it is", async () => {
  const sent: string[][] = [];
  const jobs: AgentJobs = new AgentJobs({
    takeStream: () => 1,
    open: () => assert.fail("not reached"),
    ask: (answer, question) => {
      answer.catch(() => {});
      const size = new DataView(question.buffer).getUint32(0, true);
      assert.equal(size, question.length - 12);
      sent.push(commandOf(question));
      return Promise.reject(new Error("asked"));
    },
    send: () => {},
  });
  for (const argv of [["echo", ""], ["é".repeat(4_000)], ["a", ...Array.from({ length: 5_000 }, () => "")]])
    await assert.rejects(jobs.start({ ...script(""), argv }, undefined), /asked/);
  assert.deepEqual(sent[0], ["echo", ""]);
  assert.equal(sent[1]?.[0], `${"é".repeat(2_046)}…`);
  assert.ok(sent[2]!.length <= 1_024 && sent[2]!.at(-1) === "…");
  jobs.disconnect(new Error("over"));
});

/** The texts at the end of a `jobStart` without a name. */
function commandOf(question: Uint8Array): string[] {
  const view = new DataView(question.buffer);
  const words: string[] = [];
  let offset = 12 + 4 + 4 + 1 + 4; // header, token, target, flags, name
  const count = view.getUint32(offset, true);
  offset += 4;
  for (let i = 0; i < count; i++) {
    const size = view.getUint32(offset, true);
    words.push(new TextDecoder().decode(question.subarray(offset + 4, offset + 4 + size)));
    offset += 4 + size;
  }
  return words;
}
