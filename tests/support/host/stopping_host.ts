/**
 * A VM host process that ends, with a real state database, relay and guest agent, and a machine that only says what is done to
 * it. Started by the test of the stop sequence, which it tells in lines what happened, in order.
 *
 * @module
 */
import { existsSync, mkdtempSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TimeoutError } from "../../../src/base/errors.ts";
import { ownProcess } from "../../../src/platform/process_identity.ts";
import { StateStore } from "../../../src/state/state_store.ts";
import { SandboxLogs } from "../../../src/vmm/host/sandbox_logs.ts";
import { StopSequence } from "../../../src/vmm/host/stop_sequence.ts";
import { recordedEnd } from "../../../src/vmm/run_directory/end_record.ts";
import { FakeHost } from "./in_process_host.ts";

/** What brings the end about. */
export const STOP_SCENARIOS = [
  "requested",
  "twice",
  "killed",
  "killedWhileStopping",
  "booting",
  "booted",
  "noFlush",
  "machineExits",
  "machineExitsAfterGo",
  "guestDies",
  "fullDisk",
  "fullState",
  "stuckDirectory",
  "stuckDirectoryKilled",
] as const;
export type StopScenario = (typeof STOP_SCENARIOS)[number];

function tell(what: string): void {
  writeSync(1, `${what}\n`);
}

/** Says when a method is called, before it is. */
function trace<K extends string>(
  object: Record<K, (...args: never[]) => unknown>,
  name: K,
  words: (...args: unknown[]) => string,
): void {
  const original = object[name].bind(object) as (...args: unknown[]) => unknown;
  Object.assign(object, {
    [name]: (...args: unknown[]) => {
      tell(words(...args));
      return original(...args);
    },
  });
}

/** The state database of a home whose disk is full when the sandbox has stopped. */
function refuseStopped(state: StateStore): void {
  const transition = state.transition.bind(state);
  state.transition = (key, action, options) => {
    if (action === "stopped") throw new Error("ENOSPC");
    return transition(key, action, options);
  };
}

async function run(scenario: StopScenario): Promise<void> {
  const home = mkdtempSync(join(tmpdir(), "msb-test-stop-"));
  const runDirectory = mkdtempSync(join(tmpdir(), "msb-test-run-"));
  const state = new StateStore(home);
  const key = state.claimCreate({
    id: "id",
    name: "x",
    configJson: "{}",
    imageDigest: "d",
    labels: {},
    runDirectory,
    host: ownProcess(),
  });
  process.on("exit", (code) => {
    const end = recordedEnd(runDirectory);
    if (end !== undefined) tell(`recorded ${JSON.stringify(end)}`);
    const { status, statusReason } = state.findById("id")!;
    tell(
      `exit ${code}: ${status}, ${statusReason ?? "no reason"}, run directory ${existsSync(runDirectory) ? "left" : "gone"}`,
    );
    rmSync(home, { recursive: true });
  });
  const host = await FakeHost.start();
  const isStuck = scenario === "stuckDirectory" || scenario === "stuckDirectoryKilled";
  // What is below a file can be neither moved nor removed.
  const stop = new StopSequence(state, isStuck ? join(runDirectory, "console", "x") : runDirectory);
  stop.begun.then((cause) => tell(`begun by ${cause}`));
  if (scenario === "booting") {
    stop.begin("requested", 1000);
    stop.kill("killed");
    await stop.begun;
    return process.exit(7); // boot() gives up, and main() ends the process
  }
  const vmExited = Promise.withResolvers<string>();
  const vm = { exited: vmExited.promise, kill: () => tell("VM killed") };
  const logs = new SandboxLogs(join(home, "logs"), "id", runDirectory);
  if (scenario === "fullState") refuseStopped(state);
  trace(state, "transition", (_, action) => `state ${String(action)}`);
  trace(host.link, "shutdown", (graceMs) => `guest shutdown ${String(graceMs)}`);
  trace(host.link, "go", () => "guest go");
  trace(host.relay, "announceStopped", (clean) => `clients told, clean ${String(clean)}`);
  trace(host.relay, "announceCrashed", (reason) => `clients told, ${String(reason)}`);
  trace(host.relay, "close", () => "relay closed");
  trace(logs, "ended", (action) => `log ${String(action)}`);
  if (scenario === "noFlush")
    host.link.shutdown = () =>
      Promise.reject(new TimeoutError("waiting for the guest to flush its writes", 5));
  if (scenario === "fullDisk")
    logs.ended = () => {
      throw new Error("ENOSPC");
    };
  if (scenario === "booted") stop.begin("ownerGone", 1000);
  const onEnding = () => tell("onEnding");
  const onEnded = () => tell("onEnded");
  stop.serve({ key, link: host.link, relay: host.relay, vm, logs, onEnding, onEnded });
  await cause(scenario, stop, host, vmExited.resolve);
}

async function cause(
  scenario: StopScenario,
  stop: StopSequence,
  host: FakeHost,
  endVm: (reason: string) => void,
): Promise<void> {
  switch (scenario) {
    case "requested":
    case "fullDisk":
    case "fullState":
    case "stuckDirectory":
    case "noFlush":
      return stop.begin("requested", 1000);
    case "twice":
      stop.begin("idleTimeout", 1000);
      stop.begin("requested", 1);
      return stop.begin("ownerGone", 0);
    case "killed":
    case "stuckDirectoryKilled":
      return stop.kill("killed");
    case "killedWhileStopping":
      stop.begin("requested", 1000);
      return stop.kill("killed");
    case "machineExits":
      return endVm("the kernel panicked");
    case "machineExitsAfterGo":
      host.link.closed.then(() => endVm("QEMU ended with status 0"));
      return stop.begin("requested", 1000);
    case "guestDies":
      return await host.killGuest();
    case "booting":
    case "booted":
  }
}

const scenario = STOP_SCENARIOS.find((name) => name === process.env["MSB_TEST_STOP"]);
if (scenario !== undefined) await run(scenario);
