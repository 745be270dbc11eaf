/** What the agent says of memory, disks and network, beside the kernel's own files. @module */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { MESSAGES, WireError } from "../../../src/agent/protocol.ts";
import { NativeAgent, nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const skip = nativeAgentProblem;

/** The counters of this machine that only grow: those of its virtio disks, and of its first network device. */
function counters(): readonly number[] {
  const disks = rows("/proc/diskstats").filter(([, , name = ""]) => /^vd.$/.test(name));
  const sectors = (column: number) => disks.reduce((sum, row) => sum + Number(row[column]), 0);
  const [, received = 0, ...rest] = rows("/proc/net/dev").find(([name]) => name === "eth0:") ?? [];
  return [sectors(5) * 512, sectors(9) * 512, Number(received), Number(rest[7] ?? 0)];
}

function rows(path: string): string[][] {
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.map((line) => line.trim().split(/\s+/));
}

function memoryKiB(name: string): number {
  return Number(rows("/proc/meminfo").find(([label]) => label === `${name}:`)?.[1]);
}

test(
  "usage has the numbers of /proc/meminfo, /proc/diskstats and /proc/net/dev",
  async () => {
    await using agent = await NativeAgent.start();
    for (const token of [1, 0xffff_ffff]) {
      const before = counters();
      agent.send("metrics", 0, { token, processes: 0 });
      const { fields } = await agent.expect("usage", 0);
      const after = counters();
      const { diskReadBytes, diskWriteBytes, netRxBytes, netTxBytes } = fields;
      for (const [index, value] of [diskReadBytes, diskWriteBytes, netRxBytes, netTxBytes].entries()) {
        const [least = 0, most = 0] = [before[index], after[index]];
        assert.ok(least <= value && value <= most, `${index}: ${least} <= ${value} <= ${most}`);
      }
      const total = memoryKiB("MemTotal") * 1024;
      assert.deepEqual([fields.token, fields.errno, fields.memoryTotalBytes], [token, 0, total]);
      const difference = Math.abs(fields.memoryAvailableBytes - memoryKiB("MemAvailable") * 1024);
      assert.ok(difference < total / 4, `${fields.memoryAvailableBytes} of ${total} are available`);
      assert.deepEqual([fields.upper, fields.upperUsedBytes, fields.upperFreeBytes], [0, 0, 0]);
    }
  },
  { skip },
);

test(
  "metrics is refused before the boot, on a stream of its own, and with a payload of another size",
  async () => {
    await using agent = await NativeAgent.start({ boot: false });
    await agent.expect("hello", 0);
    agent.send("metrics", 0, { token: 1, processes: 0 });
    assert.equal((await agent.expect("error", 0)).fields.code, WireError.notReady);
    agent.boot();
    await agent.expect("ready", 0);
    agent.send("metrics", 7, { token: 1, processes: 0 });
    assert.equal((await agent.expect("error", 7)).fields.code, WireError.badStream);
    agent.sendBytes(Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0, MESSAGES.metrics.type, 0, 0, 0, 9));
    assert.equal((await agent.expect("error", 0)).fields.code, WireError.malformed);
    agent.send("metrics", 0, { token: 2, processes: 0 });
    assert.equal((await agent.expect("usage", 0)).fields.token, 2);
  },
  { skip },
);

test(
  "usage keeps coming while programs fill the wire",
  async () => {
    await using agent = await NativeAgent.start();
    agent.exec(1, ["sh", "-c", "while :; do echo y; done"]);
    await agent.expect("execStarted", 1);
    for (let token = 0; token < 200; token++) {
      agent.send("metrics", 0, { token, processes: 0 });
      assert.equal((await agent.expect("usage", 0)).fields.token, token);
    }
  },
  { skip },
);
