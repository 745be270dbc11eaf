/**
 * The VM host process: one per running sandbox. Its life, top to bottom, is {@linkcode main}.
 *
 * It claims its sandbox in the state database while it already listens, so that there is never a live row without a process
 * that answers for it; boots the VM; serves clients; and ends the VM by one stop sequence whatever the cause. With krun
 * the process ends with the VM, by libkrun's `_exit`: nothing here may depend on code that runs after `go`.
 *
 * @module
 */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { MicrosandboxError, messageOf } from "../../base/errors.ts";
import { PortInUseError } from "../../network/errors.ts";
import type { PortAddress } from "../../network/published_port.ts";
import { identifyProcess } from "../../platform/process_identity.ts";
import { SandboxAlreadyExistsError } from "../../state/errors.ts";
import { type BootKey, StateStore } from "../../state/state_store.ts";
import type { RunningVm } from "../engine/engine.ts";
import { DiskInUseError } from "../errors.ts";
import type { BootRequest, BootStep, ClaimRequest } from "../host_protocol.ts";
import { HostNetwork } from "../network/host_network.ts";
import { NetworkService } from "../network/port_service.ts";
import { keepRunDirectory, RunFile, removeRunDirectory } from "../run_directory/run_directory.ts";
import { holdSandboxLock, removeSandboxLock } from "../run_directory/sandbox_lock.ts";
import type { AgentLink } from "./agent_link.ts";
import { AgentWatch } from "./agent_watch.ts";
import { Boot } from "./boot.ts";
import { EgressService } from "./egress_service.ts";
import { Pause } from "./guest_pause.ts";
import { holdDisks } from "./hold_disks.ts";
import { WriteHolds } from "./hold_writes.ts";
import { JobRecorder } from "./job_recorder.ts";
import { Jobs } from "./jobs.ts";
import { LogTap } from "./log_tap.ts";
import { Metrics } from "./metrics.ts";
import { MountService } from "./mount_service.ts";
import { ParentProcess } from "./parent_process.ts";
import { prepareGuest } from "./preparation.ts";
import { Relay, type RelayHandlers } from "./relay.ts";
import type { SandboxLogs } from "./sandbox_logs.ts";
import { ServedEgress } from "./served_egress.ts";
import { StopSequence } from "./stop_sequence.ts";
import { RECORD_TIMEOUT_MS, Supervision } from "./usage_limits.ts";
import { settleVolumes } from "./volume_holds.ts";

/** What programs get to end in after a SIGTERM. */
const TERMINATE_GRACE_MS = 10_000;

async function main(): Promise<void> {
  const parent = new ParentProcess();
  const claim = await parent.next("claim");
  if (claim === undefined) process.exit(0); // the parent gave up; the engine's thread would keep this process
  const state = new StateStore(claim.home);
  const stop = new StopSequence(state, claim.runDirectory);
  // A stop without a connection, or by the machine that is shutting down.
  process.on("SIGTERM", () => stop.begin("requested", TERMINATE_GRACE_MS));
  const relay = await Relay.listen(join(claim.runDirectory, RunFile.relay));

  const key = await claimBoot(state, claim);
  if (key === undefined) {
    parent.report({ type: "refused", reason: claim.sandbox.kind === "create" ? "exists" : "notStartable" });
    return end(parent, claim.runDirectory);
  }
  keepRunDirectory(claim.runDirectory);
  parent.report({ type: "claimed", key });

  const boot = new Boot(parent, stop);
  // What a failed boot undoes, last first. The VM comes after that and after the report: with krun it is this process.
  const undo = new AsyncDisposableStack();
  try {
    const request = await parent.next("boot");
    if (request === undefined) throw new Error("the process that was starting it ended");
    watchParent(parent, stop, boot, claim, request);
    const network = undo.use(new HostNetwork(state, key, request.network));
    const ports = undo.use(new NetworkService());
    await ports.open(request.ports); // first: it is what most likely fails, and soonest
    await holdDisks(state, request.disks);
    using limit = boot.limit(request.bootTimeoutMs);
    const carried = undo.use(startEgress(claim, request, stop));
    const mounts = new MountService(join(claim.runDirectory, RunFile.relay), state);
    if (request.rootDirectory !== undefined)
      await mounts.serveRoot(request.rootDirectory, join(claim.runDirectory, RunFile.root));
    const launched = await boot.launch(claim, request, key, network, limit);
    const { link, ready } = await boot.greet(launched, request, network, limit);
    const supervision = new Supervision(state, key, stop, request.limits, request.stopGraceMs);
    const { activity } = supervision;
    const served = servedEgress(request, launched.logs, link, stop);
    const egress = carried ?? served;
    const handlers = handleRequests(stop, supervision, {
      pause: new Pause(state, key, link),
      holds: new WriteHolds(link),
      metrics: new Metrics({
        vm: launched.vm,
        request,
        traffic: egress === undefined ? undefined : () => egress.traffic,
        usage: () => link.usage(),
        processes: () => link.processes(),
      }),
    });
    const tap = new LogTap(launched.logs.exec, key.bootNumber);
    const jobs = new Jobs(key.bootNumber, recordJobs(state, key), launched.logs.exec);
    const service = {
      ...{ link, activity, tap, jobs, handlers, mounts, network: ports, egress },
      ...{ sandboxId: key.id, bootNumber: key.bootNumber },
    };
    const onEnded = () => {
      network.close();
      if (request.removeAtEnd !== undefined) removeSandbox(state, key, request.removeAtEnd);
    };
    const settled = async () => await egress?.settled();
    const session = { key, link, relay, vm: launched.vm, logs: launched.logs, settled, onEnded };
    const onEnding = () => {
      jobs.flush();
      supervision.flushEvents();
    };
    const watch = watchAgent(link, stop, boot, request.hangTimeoutMs);
    if (request.isPrepared) {
      const invite = () => parent.report({ type: "preparing" });
      const { runDirectory } = claim;
      using preparing = boot.limit(Number.POSITIVE_INFINITY); // how long it takes is up to the creator
      await prepareGuest({ runDirectory, relay, service, invite, done: boot.prepared }, preparing);
    }
    if (served?.isServed === false) throw new Error("the process that was to carry its connections is gone");
    relay.serve(service);
    stop.serve({ ...session, onEnding });
    stopServingAtEnd(stop, ports, watch);
    using opening = boot.limit(request.bootTimeoutMs);
    if (carried !== undefined) await opening.race(carried.open(launched.logs, link));
    await opening.race(mounts.open(request.mounts)); // programs find everything there when the sandbox is ready
    settleVolumes(state);
    parent.report({ type: "ready", guest: ready });
    await ports.serve(link, activity); // last: clients are there already, and this takes its time
  } catch (error) {
    await undo.disposeAsync();
    reportFailure(parent, boot.step, error);
    forgetBoot(state, claim, key, messageOf(error));
    return end(parent, claim.runDirectory, boot.vm);
  }
}

/**
 * Claims the boot; `undefined` if another process has it. The lock comes first, so that there is never a live row without a
 * sign of life. It is held until this process ends.
 */
async function claimBoot(
  state: StateStore,
  { home, sandbox, runDirectory }: ClaimRequest,
): Promise<BootKey | undefined> {
  const host = identifyProcess(process.pid);
  if (host === undefined) throw new Error("this process cannot see itself");
  if (sandbox.kind === "start") {
    const { last } = sandbox;
    const lock = await holdSandboxLock(home, last.id, () => state.isStartable(last));
    return lock === undefined ? undefined : state.claimStart(last, { runDirectory, host });
  }
  const lock = await holdSandboxLock(home, sandbox.id, () => true);
  try {
    return lock === undefined ? undefined : state.claimCreate({ ...sandbox, runDirectory, host });
  } catch (error) {
    removeSandboxLock(home, sandbox.id);
    if (error instanceof SandboxAlreadyExistsError) return undefined;
    throw error;
  }
}

/** An attached sandbox ends with its parent; so does one that still boots, which no other process knows of. */
async function watchParent(
  parent: ParentProcess,
  stop: StopSequence,
  boot: Boot,
  { detached }: ClaimRequest,
  { isPrepared, stopGraceMs }: BootRequest,
): Promise<void> {
  if (isPrepared && (await parent.next("prepared")) !== undefined) boot.hasPrepared();
  const message = await parent.next("detach");
  const lastStep = isPrepared ? "patches" : "root";
  const isKept = message !== undefined || (detached && boot.step === lastStep);
  if (!isKept) stop.begin("ownerGone", stopGraceMs);
}

/** What clients can ask for, by the part that does it. */
function handleRequests(
  stop: StopSequence,
  supervision: Supervision,
  { pause, holds, metrics }: { readonly pause: Pause; readonly holds: WriteHolds; readonly metrics: Metrics },
): RelayHandlers {
  return {
    stop: (graceMs) => stop.begin("requested", graceMs),
    kill: () => stop.kill("killed"),
    limits: (fields) => supervision.setLimits(fields),
    drain: () => {
      supervision.drain();
      pause.release();
    },
    pause: (on) => pause.set(on),
    holdWrites: (client, on, leaseMs) => (on ? holds.hold(client, leaseMs) : holds.release(client)),
    measure: () => metrics.measure(),
    processes: () => metrics.processes(),
    left: (client) => holds.left(client),
  };
}

/** Begins to load what decides about the guest's connections; `undefined` if there is nothing to decide. */
function startEgress(
  { runDirectory }: ClaimRequest,
  { egress: config }: BootRequest,
  stop: StopSequence,
): EgressService | undefined {
  if (config === undefined) return undefined;
  const onTerminate = (reason: string) => endForViolation(stop, reason);
  return new EgressService({ socketPath: join(runDirectory, RunFile.relay), config, onTerminate });
}

/** This process's part of a network that its parent carries; `undefined` if it carries none. */
function servedEgress(
  { servedEgress: rules }: BootRequest,
  log: SandboxLogs,
  guest: AgentLink,
  stop: StopSequence,
): ServedEgress | undefined {
  if (rules === undefined) return undefined;
  return new ServedEgress({ rules, log, guest, onTerminate: (reason) => endForViolation(stop, reason) });
}

function endForViolation(stop: StopSequence, reason: string): void {
  console.error(`the network ends the sandbox: ${reason}`); // into the diagnostics
  stop.kill("networkViolation");
}

/** All clients wait for this, so a process that locks the state database must not make it long. */
function recordJobs(state: StateStore, key: BootKey): JobRecorder {
  return new JobRecorder((jobs, isLast) => {
    state.jobs.save(key, jobs, isLast ? {} : { busyTimeoutMs: RECORD_TIMEOUT_MS });
  });
}

/** Watches for an agent that hangs or hangs up: its sandbox can be neither used nor stopped gracefully. */
function watchAgent(link: AgentLink, stop: StopSequence, boot: Boot, timeoutMs: number | null): AgentWatch {
  const watch = new AgentWatch();
  const end = (reason: string) => {
    boot.giveUp(reason); // while the boot is not over
    stop.crash(reason);
  };
  link.ended.then((reason) => boot.giveUp(reason)); // of a running sandbox, the stop sequence sees it
  if (timeoutMs !== null)
    watch.begin(link, timeoutMs, () => end(`the guest's agent gave no sign of life for ${timeoutMs} ms`));
  return watch;
}

function stopServingAtEnd(stop: StopSequence, ports: NetworkService, watch: AgentWatch): void {
  stop.begun.then(() => {
    ports.close();
    watch.close();
  });
}

/** Removes a sandbox that is not to outlive its VM. */
function removeSandbox(state: StateStore, key: BootKey, move: NonNullable<BootRequest["removeAtEnd"]>): void {
  try {
    if (state.remove(key.id, move) !== "removed") return;
    removeSandboxLock(state.home, key.id);
    rmSync(move.to, { recursive: true, force: true });
  } catch (error) {
    console.error(`cannot remove the sandbox: ${messageOf(error)}`); // the VM has to end all the same
  }
}

function reportFailure(parent: ParentProcess, step: BootStep, error: unknown): void {
  const known = MicrosandboxError.is(error) ? error : undefined;
  parent.report({
    type: "failed",
    step,
    message: known?.summary ?? messageOf(error),
    code: known?.code,
    hint: known?.hint,
    portInUse: error instanceof PortInUseError ? portAddressOf(error) : undefined,
    diskInUse: error instanceof DiskInUseError ? error.path : undefined,
  });
}

function portAddressOf({ protocol, bind, hostPort }: PortAddress): PortAddress {
  return { protocol, bind, hostPort };
}

/** Marks a start that failed as crashed. A creation that failed is taken back by the next process that looks. */
function forgetBoot(state: StateStore, claim: ClaimRequest, key: BootKey, reason: string): void {
  // The creator takes its directory back: only the creator knows whether it has put one there.
  if (claim.sandbox.kind === "start") state.transition(key, "crashed", { reason });
}

/**
 * Ends this process and what it started, once the parent can read the last report. The parent reads the console from the
 * run directory and then removes it; without a parent it is removed here.
 */
function end(parent: ParentProcess, runDirectory: string, vm?: RunningVm): never {
  if (parent.isGone) removeRunDirectory(runDirectory);
  vm?.kill();
  process.exit(1);
}

await main();
