/**
 * Boots the VM, until its guest answers.
 *
 * @module
 */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { AgentHandshakeError } from "../../agent/errors.ts";
import type { MessageFields } from "../../agent/protocol.ts";
import { CallLimit } from "../../base/wait.ts";
import type { UnixConnection } from "../../platform/unix_connection.ts";
import { listenUnix } from "../../platform/unix_socket.ts";
import type { BootKey } from "../../state/state_store.ts";
import type { RunningVm } from "../engine/engine.ts";
import { loadEngine } from "../engine/load_engine.ts";
import type { BootRequest, BootStep, ClaimRequest } from "../host_protocol.ts";
import type { HostNetwork } from "../network/host_network.ts";
import { RunFile } from "../run_directory/run_directory.ts";
import { AgentLink } from "./agent_link.ts";
import { checkOpenedDisks } from "./hold_disks.ts";
import type { ParentProcess } from "./parent_process.ts";
import { restoreDiskSizes } from "./restore_disk_sizes.ts";
import type { SandboxLogs } from "./sandbox_logs.ts";
import { EXIT_REASON_MS, type StopSequence } from "./stop_sequence.ts";

/** A VM that runs, and whose guest has not answered yet. */
export interface LaunchedVm {
  readonly vm: RunningVm;
  readonly runDirectory: string;
  readonly logs: SandboxLogs;
  /** The agent's end of the byte stream. */
  readonly connected: Promise<UnixConnection>;
  /** Stops listening for the agent. */
  readonly closeAgentPort: () => Promise<void>;
}

/** A guest that answers. */
export interface GreetedGuest {
  readonly link: AgentLink;
  readonly ready: MessageFields<"ready">;
}

export class Boot {
  readonly #parent: ParentProcess;
  readonly #stop: StopSequence;
  #step: BootStep = "claim";
  #vm: RunningVm | undefined;
  /** Fires when the boot is of no use any more; its reason is the error. */
  readonly #gaveUp = new AbortController();
  readonly #prepared = Promise.withResolvers<void>();

  constructor(parent: ParentProcess, stop: StopSequence) {
    this.#parent = parent;
    this.#stop = stop;
  }

  /** How far the boot has got. */
  get step(): BootStep {
    return this.#step;
  }

  /** Resolves when the creator is done with the guest's files: see {@linkcode hasPrepared}. */
  get prepared(): Promise<void> {
    return this.#prepared.promise;
  }

  /** The VM, as soon as there is one to kill. */
  get vm(): RunningVm | undefined {
    return this.#vm;
  }

  /** The creator is done with the guest's files. */
  hasPrepared(): void {
    this.#reach("patches");
    this.#prepared.resolve();
  }

  /** Gives the boot up. Changes nothing once it is over. */
  giveUp(reason: string): void {
    this.#gaveUp.abort(new Error(reason));
  }

  /** Starts the time of the boot, or of a part of it. A stop that is asked for and the end of the VM end it as well. */
  limit(timeoutMs: number): CallLimit {
    this.#stop.begun.then(() => this.giveUp("it was stopped while it booted"));
    return new CallLimit({
      action: "waiting for the guest to become ready",
      timeoutMs,
      signal: this.#gaveUp.signal,
      aborted: (reason) => (reason instanceof Error ? reason : new Error(String(reason))),
    });
  }

  /** Starts the VM. */
  async launch(
    claim: ClaimRequest,
    request: BootRequest,
    key: BootKey,
    network: HostNetwork,
    limit: CallLimit,
  ): Promise<LaunchedVm> {
    const { runDirectory } = claim;
    const connected = Promise.withResolvers<UnixConnection>();
    const agentPort = await listenUnix(join(runDirectory, RunFile.agent), connected.resolve);
    this.#reach("kernel");
    const networkDevice = await network.open(runDirectory);
    restoreDiskSizes(request.disks);
    const engine = await loadEngine(claim.engine);
    const starting = engine.launch({
      ...request,
      home: claim.home,
      runDirectory,
      networkDevice,
      hasRootPort: request.rootDirectory !== undefined,
      onStarting: () => this.#reach("engine"),
    });
    starting.then(
      (vm) => {
        this.#vm = vm; // also of a boot that has given up, and must end it
      },
      () => {},
    );
    // What only a running VM needs is loaded and opened while it starts.
    const [vm, { SandboxLogs }] = await limit.race(Promise.all([starting, import("./sandbox_logs.ts")]));
    vm.exited.then((reason) => this.giveUp(`the VM ended: ${reason}`));
    const logs = new SandboxLogs(request.logDirectory, key.id, runDirectory);
    const closeAgentPort = () => agentPort.close();
    return { vm, runDirectory, logs, connected: connected.promise, closeAgentPort };
  }

  /** Has the guest's agent assemble the root, and waits until programs can be run. */
  async greet(
    { vm, runDirectory, logs, connected, closeAgentPort }: LaunchedVm,
    request: BootRequest,
    network: HostNetwork,
    limit: CallLimit,
  ): Promise<GreetedGuest> {
    try {
      const link = new AgentLink(await limit.race(connected));
      await closeAgentPort();
      await limit.race(link.hello());
      if (vm.pid !== undefined)
        checkOpenedDisks({
          disks: request.disks,
          pid: vm.pid,
          isVmAlone: vm.pid !== process.pid,
          runDirectory,
        });
      this.#reach("agent");
      await network.raise();
      const ready = await limit.race(link.boot(request.guest));
      if (request.network !== undefined) await limit.race(link.configureNetwork(request.network));
      this.#reach("root");
      logs.started();
      return { link, ready };
    } catch (error) {
      // The engine's end tells more than that of its connection, and comes a little later.
      if (error instanceof AgentHandshakeError) await limit.race(delay(EXIT_REASON_MS));
      throw error;
    }
  }

  #reach(step: BootStep): void {
    this.#step = step;
    this.#parent.report({ type: "step", step, atMs: performance.now() });
  }
}
