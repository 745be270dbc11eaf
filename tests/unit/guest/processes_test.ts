/** The list of programs, beside what the kernel says of each. @module */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { encodeMessage } from "../../../src/agent/codec.ts";
import { concatBytes } from "../../../src/base/bytes.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;
/** `pid parent uid state cpuMs residentBytes ageMs`, user and command. */
const ENTRY = /^(\d+) (\d+) (\d+) (\w) (\d+) (\d+) (\d+)\n([^\n]*)\n([\s\S]*)$/;

interface Entry {
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  readonly state: string;
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly ageMs: number;
  readonly user: string;
  readonly command: string;
}

async function list(agent: NativeAgent): Promise<{ readonly total: number; readonly entries: Entry[] }> {
  agent.send("metrics", 0, { token: 5, processes: 1 });
  const { token, errno, total, processes } = (await agent.expect("processes", 0)).fields;
  assert.deepEqual([token, errno], [5, 0]);
  const entries = processes.map((text) => {
    const [, pid, parent, uid, state = "", cpuMs, residentBytes, ageMs, user = "", command = ""] =
      ENTRY.exec(text) ?? [];
    assert.ok(pid !== undefined, JSON.stringify(text));
    return {
      pid: Number(pid),
      parent: Number(parent),
      uid: Number(uid),
      state,
      cpuMs: Number(cpuMs),
      residentBytes: Number(residentBytes),
      ageMs: Number(ageMs),
      user,
      command,
    };
  });
  return { total, entries };
}

test(
  "processes has each program with its user, use and command, and not the agent",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "while :; do :; done", "a b", "", "last\n"]);
    const { pid } = (await agent.expect("execStarted", 1)).fields;
    const stat = () => readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    const cpuMs = () => (Number(stat()[11]) + Number(stat()[12])) * 10;
    while (cpuMs() < 100) await agent.run(2, "true");
    const before = cpuMs();
    const { entries, total } = await list(agent);
    const after = cpuMs();
    const found = entries.find((entry) => entry.pid === pid);
    assert.ok(found !== undefined);
    assert.ok(before <= found.cpuMs && found.cpuMs <= after, `${before} <= ${found.cpuMs} <= ${after}`);
    assert.equal(found.parent, agent.pid);
    assert.deepEqual(
      [found.uid, found.user],
      [userInfo().uid, execFileSync("id", ["-un"], { encoding: "utf8" }).trim()],
    );
    assert.equal(found.state, "R");
    assert.equal(found.residentBytes, Number(stat()[21]) * 4096);
    assert.ok(found.ageMs >= found.cpuMs - 20);
    assert.equal(found.command, "sh -c while :; do :; done a b  last\n");
    assert.ok(!entries.some((entry) => entry.pid === agent.pid));
    // Those of the machine: threads of the kernel have no memory, and are not listed.
    assert.ok(total >= entries.length);
    for (const other of entries) assert.ok(other.pid > 0 && other.state !== "");
    assert.deepEqual(
      entries.map((entry) => entry.cpuMs),
      entries.map((entry) => entry.cpuMs).toSorted((a, b) => b - a),
    );
  },
  { skip },
);

test(
  "processes cuts long commands, and leaves out those that have used least where not all fit",
  async () => {
    const children = Array.from({ length: 250 }, () =>
      spawn("sleep", ["1000", ...Array.from({ length: 40 }, () => "1000")], { stdio: "ignore" }),
    );
    try {
      await using agent = await NativeAgent.start();
      const { entries, total } = await list(agent);
      assert.ok(
        total >= 250 && entries.length < total && entries.length > 100,
        `${entries.length} of ${total}`,
      );
      for (const { command } of entries) assert.ok(command.length < 256);
      const running = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).length;
      assert.ok(total <= running + 50, `${total} programs, ${running} processes`);
    } finally {
      for (const child of children) child.kill("SIGKILL");
    }
  },
  { skip },
);

test(
  "processes is answered one question at a time, and programs run on in the meantime",
  async () => {
    await using agent = await NativeAgent.start();
    const EBUSY = 16;
    const question = (token: number) => encodeMessage("metrics", 0, { token, processes: 1 });
    agent.sendBytes(concatBytes([question(1), question(2)]));
    const answers = [await agent.expect("processes", 0), await agent.expect("processes", 0)];
    const errnos = new Map(answers.map(({ fields }) => [fields.token, fields.errno]));
    assert.deepEqual([errnos.get(1), errnos.get(2)], [0, EBUSY]);
    assert.equal((await agent.run(1, "echo works")).stdout, "works\n");
    const { entries } = await list(agent);
    assert.ok(entries.length > 0);
  },
  { skip },
);
