import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { runtimeCommand } from "../../../../src/platform/runtime.ts";
import { nativeAgentProblem } from "../../../support/guest/native_agent.ts";
import { temporaryDirectory, test } from "../../../support/harness.ts";
import type { StopScenario } from "../../../support/host/stopping_host.ts";

const options = { skip: nativeAgentProblem };

/** What a VM host process said in a scenario, line by line, and its exit code. */
async function play(scenario: StopScenario): Promise<string[]> {
  using scratch = temporaryDirectory(); // the process ends in the middle of things, and clears nothing away
  const { file, args } = runtimeCommand(new URL("../../../support/host/stopping_host.ts", import.meta.url));
  const child = spawn(file, args, {
    env: { ...process.env, TMPDIR: scratch.path, MSB_TEST_STOP: scenario },
    stdio: ["ignore", "pipe", "ignore"],
  });
  let output = "";
  child.stdout.on("data", (chunk: Uint8Array) => {
    output += new TextDecoder().decode(chunk);
  });
  const code = await new Promise((resolve) => child.once("close", resolve));
  const lines = output.trimEnd().split("\n");
  assert.ok(lines.at(-1)?.startsWith(`exit ${code}:`), output);
  return lines;
}

const FLUSHED = [
  "state stopping",
  "guest shutdown 1000",
  "onEnding",
  "log stopped",
  "state stopped",
  "onEnded",
  "clients told, clean true",
  "relay closed",
  "guest go",
];
/** What a crash for `reason` says; the reason may go on behind that. */
function crashed(reason: string): string[] {
  return ["onEnding", "log crashed", "state crashed", "onEnded", `clients told, ${reason}`, "VM killed"];
}

function withoutBegun(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith("begun"));
}

test(
  "StopSequence makes the end known on disk first, then to clients, then lets the guest go",
  async () => {
    const lines = await play("requested");
    assert.deepEqual(withoutBegun(lines), [
      "state ready",
      ...FLUSHED,
      "VM killed",
      "exit 0: stopped, requested, run directory gone",
    ]);
    assert.ok(lines.includes("begun by requested"));
  },
  options,
);

test(
  "StopSequence runs once, for the first cause",
  async () => {
    const lines = await play("twice");
    assert.deepEqual(withoutBegun(lines).slice(1, -2), FLUSHED);
    assert.equal(lines.at(-1), "exit 0: stopped, idleTimeout, run directory gone");
    assert.deepEqual(
      lines.filter((line) => line.startsWith("begun")),
      ["begun by idleTimeout"],
    );
  },
  options,
);

test(
  "StopSequence.kill() ends the machine at once, and says stopped",
  async () => {
    assert.deepEqual(withoutBegun(await play("killed")), [
      "state ready",
      "onEnding",
      "log stopped",
      "state stopped",
      "onEnded",
      "clients told, clean false",
      "VM killed",
      "exit 0: stopped, killed, run directory gone",
    ]);
  },
  options,
);

test(
  "StopSequence.kill() overtakes a stop that waits for the guest",
  async () => {
    const lines = withoutBegun(await play("killedWhileStopping"));
    assert.deepEqual(lines.slice(1, 3), ["state stopping", "guest shutdown 1000"]);
    assert.deepEqual(lines.slice(-2), ["VM killed", "exit 0: stopped, killed, run directory gone"]);
    assert.ok(!lines.includes("guest go"));
  },
  options,
);

test(
  "StopSequence leaves the end of a boot to whoever boots",
  async () => {
    assert.deepEqual(await play("booting"), [
      "begun by requested",
      "exit 7: creating, no reason, run directory left",
    ]);
  },
  options,
);

test(
  "StopSequence ends what has booted in the moment when its end was asked for",
  async () => {
    const lines = withoutBegun(await play("booted"));
    assert.deepEqual(lines.slice(1, -2), FLUSHED);
    assert.equal(lines.at(-1), "exit 0: stopped, ownerGone, run directory gone");
  },
  options,
);

test(
  "StopSequence says crashed of a guest that does not flush in time",
  async () => {
    const lines = withoutBegun(await play("noFlush"));
    const reason = "Timed out after 5 ms while waiting for the guest to flush its writes";
    assert.deepEqual(lines.slice(1, -1), ["state stopping", ...crashed(reason)]);
    assert.match(
      lines.at(-1)!,
      /^exit 0: crashed, .*Timed out after 5 ms while waiting for the guest to flush its writes/,
    );
  },
  options,
);

test(
  "StopSequence says crashed when the VM ends by itself",
  async () => {
    assert.deepEqual(await play("machineExits"), [
      "state ready",
      ...crashed("the kernel panicked"),
      "exit 0: crashed, the kernel panicked, run directory gone",
    ]);
  },
  options,
);

test(
  "StopSequence ends as soon as the VM has, when that was the plan",
  async () => {
    const lines = withoutBegun(await play("machineExitsAfterGo"));
    assert.deepEqual(lines.slice(1, -2), FLUSHED);
    assert.equal(lines.at(-1), "exit 0: stopped, requested, run directory gone");
  },
  options,
);

test(
  "StopSequence says crashed when the guest's agent hangs up",
  async () => {
    assert.deepEqual(await play("guestDies"), [
      "state ready",
      ...crashed("the guest's agent hung up"),
      "exit 0: crashed, the guest's agent hung up, run directory gone",
    ]);
  },
  options,
);

test(
  "StopSequence ends though nothing can be written down",
  async () => {
    const lines = withoutBegun(await play("fullDisk"));
    assert.ok(lines.includes("guest go"), lines.join("; "));
    assert.equal(lines.at(-1), "exit 0: stopped, requested, run directory gone");
  },
  options,
);

test(
  "StopSequence writes an end that the state database does not take into the run directory, which stays",
  async () => {
    const lines = withoutBegun(await play("fullState"));
    assert.ok(lines.includes("guest go"), lines.join("; "));
    assert.deepEqual(lines.slice(-2), [
      'recorded {"action":"stopped","reason":"requested"}',
      "exit 0: draining, no reason, run directory left",
    ]);
  },
  options,
);

test(
  "StopSequence ends though its run directory cannot be removed",
  async () => {
    const lines = withoutBegun(await play("stuckDirectory"));
    assert.deepEqual(lines.slice(1, -2), FLUSHED);
    assert.deepEqual(lines.slice(-2), ["VM killed", "exit 0: stopped, requested, run directory left"]);
    assert.deepEqual(withoutBegun(await play("stuckDirectoryKilled")).slice(-2), [
      "VM killed",
      "exit 0: stopped, killed, run directory left",
    ]);
  },
  options,
);
