/**
 * A program that follows the events of a home while it creates, changes and removes sandboxes in it, without a VM. To be
 * watched from outside: `tests/unit/sandbox/follow_database_test.ts` traces its system calls.
 *
 *     MSB_HOME=… following_program.ts ROUNDS
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { Sandbox } from "../../../mod.ts";
import { openState } from "../../../src/backend/local/local_sandbox.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { listenUnix } from "../../../src/platform/unix_socket.ts";
import { createRunDirectory } from "../../../src/vmm/run_directory/create_and_sweep.ts";
import { RunFile, removeRunDirectory } from "../../../src/vmm/run_directory/run_directory.ts";
import { storedConfig } from "../home/stored_config.ts";

const rounds = Number(process.argv[2]);
const state = openState();
const { home } = state;
const runDirectory = createRunDirectory(home);
await listenUnix(join(runDirectory, RunFile.relay), () => {}); // by which each sandbox is seen to be alive
const reader = Sandbox.events({ follow: true }).getReader();
for (let round = 0; round < rounds; round++) {
  const [id, name] = [randomUUID(), `sandbox-${round}`];
  const claim = { id, name, configJson: storedConfig(name), imageDigest: "sha256:none", labels: {} };
  const key = state.claimCreate({ ...claim, runDirectory, host: ownProcess() });
  state.transition(key, "ready");
  const handle = await Sandbox.get(name);
  const stopped = handle.waitForStatus("stopped");
  state.transition(key, "stopped", { reason: "requested" });
  await stopped;
  state.remove(id, { from: `${home}/sandboxes/${name}`, to: `${home}/trash/${name}` });
  for (let action = ""; action !== "removed"; ) action = (await reader.read()).value?.action ?? "removed";
}
await reader.cancel();
removeRunDirectory(runDirectory);
process.exit(0);
