/**
 * Two processes that create the same name at the same moment, time after time.
 *
 * All is real up to the claim of the VM host process; the engine is a program that sleeps, so that a try takes no boot.
 * `MSB_RACE_TRIES` says how many there are.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Sandbox } from "../../mod.ts";
import { countFrom } from "../support/count.ts";
import { vmTest } from "../support/harness.ts";
import { eventually, hostProcesses } from "../support/processes.ts";
import { Peer, PeerError } from "../support/vm/peer.ts";
import { withTestHome } from "../support/vm/vm.ts";

const TRIES = countFrom("MSB_RACE_TRIES", 100);
const TRY_TIMEOUT_MS = 20_000;

vmTest(
  `create() of one name by two processes at the same moment: exactly one wins, in ${TRIES} of ${TRIES} tries`,
  () =>
    withTestHome(async ({ home, scratch }) => {
      const image = join(scratch, "image");
      mkdirSync(join(image, "bin"), { recursive: true });
      await withEngine(sleepingEngine(scratch), async () => {
        await using first = new Peer();
        await using second = new Peer();
        const peers = [first, second] as const;
        const request = { action: "claim", options: { name: "subject", image, diskMiB: 64 } } as const;
        const wins = [0, 0];
        let closeRaces = 0;
        for (let turn = 1; turn <= TRIES; turn++) {
          const tries = await Promise.allSettled(peers.map((peer) => peer.ask(request)));
          const winner = tries.findIndex(({ status }) => status === "fulfilled");
          const losers = tries.flatMap((result) => (result.status === "rejected" ? [result.reason] : []));
          assert.deepEqual(losers.map(codeOf), ["sandboxAlreadyExists"], `try ${turn}`);
          // A process that is about to become the engine looks like its parent for a moment.
          await eventually(() => assert.equal(hostProcesses(home).length, 1, `try ${turn}`));
          wins[winner] = (wins[winner] ?? 0) + 1;
          const steps = await Promise.all(peers.map((peer) => peer.ask({ action: "giveUp" })));
          // The loser had seen no sandbox of that name: it was its VM host process that was refused.
          if (steps[1 - winner] === "image") closeRaces++;
          assert.deepEqual((await Sandbox.list()).sandboxes, [], `try ${turn}`);
          assert.deepEqual(hostProcesses(home), [], `try ${turn}`);
        }
        console.log(`${wins.join(" and ")} wins; ${closeRaces} were decided by the claim`);
        assert.ok(closeRaces > TRIES / 2, "the tries were no races");
      });
    }),
  { timeoutMs: TRIES * TRY_TIMEOUT_MS },
);

function codeOf(error: unknown): string {
  return error instanceof PeerError ? error.code : String(error);
}

/** A stand-in for QEMU whose VM never says a word. */
function sleepingEngine(directory: string): string {
  const path = join(directory, "sleeping-engine");
  writeFileSync(path, "#!/bin/sh\nexec sleep 600\n", { mode: 0o755 });
  return path;
}

async function withEngine(path: string, body: () => Promise<void>): Promise<void> {
  const before = { MSB_ENGINE: process.env["MSB_ENGINE"], MSB_QEMU: process.env["MSB_QEMU"] };
  Object.assign(process.env, { MSB_ENGINE: "qemu", MSB_QEMU: path });
  try {
    await body();
  } finally {
    for (const [name, value] of Object.entries(before)) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}
