/**
 * A VM host process without a VM: the real state database, relay and stop sequence in a process of their own, with an agent
 * that has nothing to do. For tests of what is done to such a process from outside.
 *
 * Run as a program, it takes one {@linkcode HostOrder} as a line on its standard input, and answers once it serves.
 *
 * @module
 */
import { join } from "node:path";
import { LineChild } from "../../../src/platform/child.ts";
import { LineQueue } from "../../../src/platform/line_queue.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import type { UnixConnection } from "../../../src/platform/unix_connection.ts";
import { connectUnix, listenUnix } from "../../../src/platform/unix_socket.ts";
import { type BootKey, StateStore } from "../../../src/state/state_store.ts";
import { AgentLink } from "../../../src/vmm/host/agent_link.ts";
import { LogTap } from "../../../src/vmm/host/log_tap.ts";
import { noProcesses, unmeasured } from "../../../src/vmm/host/metrics.ts";
import { Relay, type RelayHandlers } from "../../../src/vmm/host/relay.ts";
import { SandboxLogs } from "../../../src/vmm/host/sandbox_logs.ts";
import { StopSequence } from "../../../src/vmm/host/stop_sequence.ts";
import { Supervision } from "../../../src/vmm/host/usage_limits.ts";
import { createRunDirectory } from "../../../src/vmm/run_directory/create_and_sweep.ts";
import { RunFile } from "../../../src/vmm/run_directory/run_directory.ts";
import { holdSandboxLock } from "../../../src/vmm/run_directory/sandbox_lock.ts";
import { storedConfig } from "../home/stored_config.ts";
import { noJobs } from "./memory_jobs.ts";

/** Which sandbox the process is to be. */
export interface HostOrder {
  readonly home: string;
  readonly runDirectory: string;
  readonly id: string;
  readonly name: string;
}

const REFUSED = { on: false, errno: 1 };

/** Starts a host process; resolves when its sandbox runs. */
export async function startVmlessHost(order: Omit<HostOrder, "runDirectory">): Promise<void> {
  const runDirectory = createRunDirectory(order.home);
  const { file, args } = runtimeCommand(new URL(import.meta.url));
  const env = { ...process.env, MSB_TEST_VMLESS_HOST: "1" } as Record<string, string>;
  const child = await LineChild.spawn({ file, args: [...args, order.home], env, cwd: order.home, stderr: 2 });
  child.send({ ...order, runDirectory } satisfies HostOrder);
  const answer = await child.nextLine();
  child.release();
  if (answer !== "ready") throw new Error("the host process did not come up");
}

async function main({ home, runDirectory, id, name }: HostOrder): Promise<void> {
  const state = new StateStore(home);
  const stop = new StopSequence(state, runDirectory);
  const relay = await Relay.listen(join(runDirectory, RunFile.relay));
  const configJson = storedConfig(name);
  const host = ownProcess();
  const row = { id, name, configJson, imageDigest: "", labels: {}, runDirectory, host };
  await holdSandboxLock(home, id, () => true);
  const key: BootKey = state.claimCreate(row);
  const link = await agentLink(join(runDirectory, RunFile.agent));
  const limits = { maxDurationMs: undefined, idleTimeoutMs: undefined };
  const supervision = new Supervision(state, key, stop, limits, 0);
  const { activity } = supervision;
  const handlers: RelayHandlers = {
    stop: (graceMs) => stop.begin("requested", graceMs),
    kill: () => stop.kill("killed"),
    limits: (fields) => supervision.setLimits(fields),
    drain: () => supervision.drain(),
    // There is no guest to pause.
    pause: async () => REFUSED,
    holdWrites: async () => REFUSED,
    measure: async () => unmeasured(REFUSED.errno, "there is no guest"),
    processes: async () => noProcesses(REFUSED.errno),
    left: () => {},
  };
  const tap = new LogTap({ append: () => {}, endOfStream: () => {} }, key.bootNumber);
  relay.serve({
    link,
    activity,
    tap,
    jobs: noJobs(),
    handlers,
    sandboxId: key.id,
    bootNumber: key.bootNumber,
  });
  const vm = { exited: new Promise<string>(() => {}), kill: () => {} };
  const logs = new SandboxLogs(join(runDirectory, "logs"), id, runDirectory);
  stop.serve({ key, link, relay, vm, logs, onEnding: () => {}, onEnded: () => {} });
  process.stdout.write("ready\n");
}

/** A link to an agent that says nothing. */
async function agentLink(path: string): Promise<AgentLink> {
  const accepted = Promise.withResolvers<UnixConnection>();
  const listener = await listenUnix(path, accepted.resolve);
  const guest = await connectUnix(path);
  guest.onData(() => {});
  const link = new AgentLink(await accepted.promise);
  await listener.close();
  return link;
}

if (process.env["MSB_TEST_VMLESS_HOST"] === "1" && import.meta.main) {
  const lines = new LineQueue();
  process.stdin.on("data", (chunk: Uint8Array) => lines.push(chunk));
  process.stdin.on("end", () => lines.end());
  process.stdout.on("error", () => {}); // nobody listens any more
  const line = await lines.next();
  if (line === undefined) process.exit(1);
  await main(JSON.parse(line) as HostOrder);
}
