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
  stop.machine = { exited: new Promise(() => {}), kill: () => tell("machine killed") };
  stop.logs = new SandboxLogs(join(home, "logs"), "id", runDirectory);
  trace(state, "transition", (_, action) => `state ${String(action)}`);
  trace(host.link, "shutdown", (graceMs) => `guest shutdown ${String(graceMs)}`);
  trace(host.link, "go", () => "guest go");
  trace(host.relay, "announceStopped", (clean) => `clients told, clean ${String(clean)}`);
  trace(host.relay, "close", () => "relay closed");
  trace(stop.logs, "ended", (action) => `log ${String(action)}`);
  stop.onEnding = () => tell("onEnding");
  stop.onEnded = () => tell("onEnded");
  if (scenario === "noFlush")
    host.link.shutdown = () =>
      Promise.reject(new TimeoutError("waiting for the guest to flush its writes", 5));
  if (scenario === "fullDisk")
    stop.logs.ended = () => {
      throw new Error("ENOSPC");
    };
  if (scenario === "booted") stop.begin("ownerGone", 1000);
  stop.open(host.link, host.relay, key);
  await cause(scenario, stop, host);
}

async function cause(scenario: StopScenario, stop: StopSequence, host: FakeHost): Promise<void> {
  switch (scenario) {
    case "requested":
    case "fullDisk":
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
      return stop.machineExited("the kernel panicked");
    case "machineExitsAfterGo":
      host.link.closed.then(() => stop.machineExited("QEMU ended with status 0"));
      return stop.begin("requested", 1000);
    case "guestDies":
      return await host.killGuest();
    case "booting":
    case "booted":
  }
}

const scenario = STOP_SCENARIOS.find((name) => name === process.env["MSB_TEST_STOP"]);
if (scenario !== undefined) await run(scenario);
