import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { nativeAgentProblem } from "../../support/guest/native_agent.ts";
import { test } from "../../support/harness.ts";

const MAIN = fileURLToPath(new URL("../../support/growth_main.ts", import.meta.url));
/** A reaction that is left behind takes 65 bytes on JavaScriptCore and 310 on V8; noise of a heap of some MB is below this. */
const BYTES_PER_TURN_MAX = 20;

function grownBytesPerTurn(thing: string, turns: number): number {
  const args =
    "Bun" in globalThis
      ? [MAIN]
      : ["run", "--allow-all", "--no-check", "--quiet", "--v8-flags=--expose-gc", MAIN];
  const { grownBytes } = JSON.parse(
    execFileSync(process.execPath, [...args, thing, String(turns)], { encoding: "utf8" }),
  );
  return grownBytes / turns;
}

const ROWS: readonly { name: string; thing: string; turns: number }[] = [
  { name: "ExecHandle holds no more after 100,000 events than before", thing: "exec", turns: 100_000 },
  { name: "AgentClient.ping() leaves nothing behind", thing: "ping", turns: 100_000 },
  { name: "AgentLink.pause() leaves nothing behind", thing: "pause", turns: 100_000 },
  { name: "UnixConnection.drained() leaves nothing behind", thing: "drained", turns: 20_000 },
];

for (const { name, thing, turns } of ROWS) {
  test(name, () => {
    const grown = grownBytesPerTurn(thing, turns);
    assert.ok(grown < BYTES_PER_TURN_MAX, `${grown} bytes a turn`);
  });
}

/** What a frame of 12 bytes may take while it waits; an object for each takes 100 and more. */
const WAITING_BYTES_MAX = 40;

for (const { name, thing } of [
  { name: "UnixConnection.send() of many small chunks holds little more than their bytes", thing: "unread" },
  {
    name: "Relay holds little more than the bytes of empty frames that a client does not read",
    thing: "relayed",
  },
]) {
  test(
    name,
    () => {
      const grown = grownBytesPerTurn(thing, 1_000_000);
      assert.ok(grown < WAITING_BYTES_MAX, `${grown} bytes a frame of 12`);
    },
    { skip: thing === "relayed" ? nativeAgentProblem : undefined },
  );
}
