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
import { setTimeout as delay } from "node:timers/promises";
import { AgentHandshakeError } from "../../agent/errors.ts";
import { MicrosandboxError, messageOf, TimeoutError } from "../../base/errors.ts";
import { PortInUseError } from "../../network/errors.ts";
import type { PortAddress } from "../../network/published_port.ts";
import { identifyProcess } from "../../platform/process_identity.ts";
import type { UnixConnection } from "../../platform/unix_connection.ts";
import { listenUnix } from "../../platform/unix_socket.ts";
import { SandboxAlreadyExistsError } from "../../state/errors.ts";
import { type BootKey, type DirectoryMove, StateStore } from "../../state/state_store.ts";
import type { Engine, Machine } from "../engine/engine.ts";
import type { BootRequest, BootStep, ClaimRequest } from "../host_protocol.ts";
import { HostNetwork } from "../network/host_network.ts";
import { NetworkService } from "../network/port_service.ts";
import { keepRunDirectory, RunFile, removeRunDirectory } from "../run_directory/run_directory.ts";
import { AgentLink } from "./agent_link.ts";
import { AgentWatch } from "./agent_watch.ts";
import { Pause } from "./guest_pause.ts";
import { DiskFreeze } from "./hold_writes.ts";
import { LogTap } from "./log_tap.ts";
import { Owner } from "./parent_process.ts";
import { Relay } from "./relay.ts";
import { restoreDiskSizes } from "./restore_disk_sizes.ts";
import { EXIT_REASON_MS, StopSequence } from "./stop_sequence.ts";
import { Supervision } from "./usage_limits.ts";

/** Only the one in use is loaded. */
const ENGINES: Readonly<Record<ClaimRequest["engine"], () => Promise<Engine>>> = {
  krun: async () => (await import("../engine/krun.ts")).krunEngine,
  qemu: async () => (await import("../engine/qemu.ts")).qemuEngine,
};

/** What programs get to end in after a SIGTERM. */
const TERMINATE_GRACE_MS = 10_000;

async function main(): Promise<void> {
  const owner = new Owner();
  const claim = await owner.next("claim");
  if (claim === undefined) process.exit(0); // the owner thought better of it; the engine's thread would keep us
  const state = new StateStore(claim.home);
  const stop = new StopSequence(state, claim.runDirectory);
  const supervision = new Supervision(state, stop);
  // Asked for without a connection, or by the machine that is shutting down.
  process.on("SIGTERM", () => stop.begin("requested", TERMINATE_GRACE_MS));
  const pause = new Pause(state);
  const diskFreeze = new DiskFreeze();
  const ports = new NetworkService(supervision.activity);
  const watch = new AgentWatch();
  stop.begun.then(() => {
    ports.close();
    watch.close();
  });
  const relay = new Relay(
    {
      stop: (graceMs) => stop.begin("requested", graceMs),
      kill: () => stop.kill("killed"),
      limits: (fields) => supervision.setLimits(fields),
      drain: () => {
        supervision.drain();
        pause.release();
      },
      pause: (on) => pause.set(on),
      freeze: (client, on, leaseMs) => (on ? diskFreeze.hold(client, leaseMs) : diskFreeze.release(client)),
      left: (client) => diskFreeze.left(client),
    },
    supervision.activity,
  );
  await relay.listen(join(claim.runDirectory, RunFile.relay));

  const key = claimBoot(state, claim);
  if (key === undefined) {
    owner.report({ type: "refused", reason: claim.sandbox.kind === "create" ? "exists" : "notStartable" });
    return end(owner, claim.runDirectory);
  }
  keepRunDirectory(claim.runDirectory);
  owner.report({ type: "claimed", key });

  const request = await owner.next("boot");
  const network = new HostNetwork(state, key, request?.network);
  try {
    if (request === undefined) throw new Error("the process that was starting it ended");
    const remove = request.removeAtEnd === undefined ? () => {} : removal(state, key, request.removeAtEnd);
    stop.onEnded = () => {
      network.close();
      remove();
    };
    watchOwner(owner, stop, claim.detached, request.stopGraceMs);
    await ports.open(request.ports); // first: it is what most likely fails, and soonest
    const link = await boot(owner, relay, stop, claim, request, key, network);
    pause.open(link, key);
    relay.network = ports;
    diskFreeze.open(link);
    supervision.begin(key, request.limits, request.stopGraceMs);
    stop.onEnding = () => supervision.flushEvents();
    watchAgent(watch, link, stop, request.hangTimeoutMs);
    await ports.serve(link); // last: clients are there already, and this takes its time
  } catch (error) {
    network.close();
    reportFailure(owner, error);
    forgetBoot(state, claim, key, messageOf(error));
    return end(owner, claim.runDirectory, stop.machine);
  }
}

/** Boots the VM and opens the sandbox to clients. What it throws says by `step` how far it got. */
async function boot(
  owner: Owner,
  relay: Relay,
  stop: StopSequence,
  claim: ClaimRequest,
  request: BootRequest,
  key: BootKey,
  network: HostNetwork,
): Promise<AgentLink> {
  const step = (reached: BootStep) => {
    progress = reached;
    owner.report({ type: "step", step: reached, atMs: performance.now() });
  };
  const deadline = bootDeadline(request.bootTimeoutMs);
  const ownerLeft = stop.begun.then(() => Promise.reject(new Error("it was stopped while it booted")));
  ownerLeft.catch(() => {});
  const inTime = <T>(promise: Promise<T>) => Promise.race([promise, ownerLeft, deadline.expired]);
  const agentConnection = Promise.withResolvers<UnixConnection>();
  const agentPort = await listenUnix(join(claim.runDirectory, RunFile.agent), (connection) => {
    agentConnection.resolve(connection);
  });

  step("kernel");
  const networkDevice = await network.open(claim.runDirectory);
  restoreDiskSizes(request.disks);
  const engine = await ENGINES[claim.engine]();
  const starting = engine.launch({
    ...request,
    home: claim.home,
    runDirectory: claim.runDirectory,
    networkDevice,
    onStarting: () => step("engine"),
  });
  // What only a running VM needs is loaded and opened while it starts.
  const [machine, { SandboxLogs }] = await inTime(Promise.all([starting, import("./sandbox_logs.ts")]));
  stop.machine = machine;
  const logs = new SandboxLogs(request.logDirectory, key.id, claim.runDirectory);
  stop.logs = logs;
  const died = machine.exited.then((reason) => Promise.reject(new Error(`the VM ended: ${reason}`)));
  died.catch(() => {}); // matters only while booting
  const bounded = <T>(promise: Promise<T>) => inTime(Promise.race([promise, died]));
  try {
    const link = new AgentLink(await bounded(agentConnection.promise));
    await agentPort.close();
    await bounded(link.hello());
    step("agent");
    await network.raise();
    const ready = await bounded(link.boot(request.guest));
    if (request.network !== undefined) await bounded(link.configureNetwork(request.network));
    step("root");
    logs.started();
    relay.open(link, new LogTap(logs.exec, key.bootNumber), {
      sandboxId: key.id,
      bootNumber: key.bootNumber,
    });
    stop.open(link, relay, key);
    const { readyMicros, agentStartMicros, kernelRelease } = ready;
    owner.report({ type: "ready", guest: { readyMicros, agentStartMicros, kernelRelease } });
    machine.exited.then((reason) => stop.machineExited(reason));
    return link;
  } catch (error) {
    // The engine's end says more than that of its connection, and comes a little later.
    if (error instanceof AgentHandshakeError) await Promise.race([died, delay(EXIT_REASON_MS)]);
    throw error;
  } finally {
    deadline.cancel();
  }
}

/** What removes a sandbox that is not to outlive its VM. */
function removal(state: StateStore, key: BootKey, move: DirectoryMove): () => void {
  return () => {
    try {
      if (state.remove(key.id, move) === "removed") rmSync(move.to, { recursive: true, force: true });
    } catch (error) {
      console.error(`cannot remove the sandbox: ${messageOf(error)}`); // the VM has to end all the same
    }
  };
}

/** How far the boot has got. */
let progress: BootStep = "claim";

function claimBoot(state: StateStore, claim: ClaimRequest): BootKey | undefined {
  const host = identifyProcess(process.pid);
  if (host === undefined) throw new Error("this process cannot see itself");
  const { runDirectory, sandbox } = claim;
  if (sandbox.kind === "start") return state.claimStart(sandbox.last, { runDirectory, host });
  try {
    return state.claimCreate({ ...sandbox, runDirectory, host });
  } catch (error) {
    if (error instanceof SandboxAlreadyExistsError) return undefined;
    throw error;
  }
}

function bootDeadline(timeoutMs: number): { readonly expired: Promise<never>; cancel(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new TimeoutError("waiting for the guest to become ready", timeoutMs)),
      timeoutMs,
    );
  });
  expired.catch(() => {});
  return { expired, cancel: () => clearTimeout(timer) };
}

/** An attached sandbox ends with its owner; so does one that still boots, which nobody would know of. */
async function watchOwner(
  owner: Owner,
  stop: StopSequence,
  detached: boolean,
  graceMs: number,
): Promise<void> {
  const message = await owner.next("detach");
  const isKept = message !== undefined || (detached && progress === "root");
  if (!isKept) stop.begin("ownerGone", graceMs);
}

/** An agent that hangs leaves a sandbox that nobody can use, or stop in order. */
function watchAgent(watch: AgentWatch, link: AgentLink, stop: StopSequence, timeoutMs: number | null): void {
  if (timeoutMs === null) return;
  watch.begin(link, timeoutMs, () =>
    stop.crash(`the guest's agent gave no sign of life for ${timeoutMs} ms`),
  );
}

function reportFailure(owner: Owner, error: unknown): void {
  const known = MicrosandboxError.is(error) ? error : undefined;
  owner.report({
    type: "failed",
    step: progress,
    message: known?.summary ?? messageOf(error),
    code: known?.code,
    hint: known?.hint,
    portInUse: error instanceof PortInUseError ? portAddressOf(error) : undefined,
  });
}

function portAddressOf({ protocol, bind, hostPort }: PortAddress): PortAddress {
  return { protocol, bind, hostPort };
}

/** A start that failed leaves the sandbox crashed; a creation that failed is taken back by whoever looks next. */
function forgetBoot(state: StateStore, claim: ClaimRequest, key: BootKey, reason: string): void {
  // Its directory is the creator's to take back, who alone knows whether it has put one there.
  if (claim.sandbox.kind === "start") state.transition(key, "crashed", { reason });
}

/**
 * Ends this process and what it started, once the owner can read the last report. The owner reads the console from the
 * run directory and then removes it; without an owner it is removed here.
 */
function end(owner: Owner, runDirectory: string, machine?: Machine): never {
  if (owner.isGone) removeRunDirectory(runDirectory);
  machine?.kill();
  process.exit(1);
}

await main();
