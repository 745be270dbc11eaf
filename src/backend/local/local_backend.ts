/** Sandboxes of one home on this machine, each in a VM host process of its own. @module */

import { UnsupportedError } from "../../base/errors.ts";
import type { EgressReport, EgressUpdate } from "../../egress/update.ts";
import type { NetworkConfig, NetworkPlan } from "../../network/network_plan.ts";
import { parseSandboxOptions, type SandboxOptions } from "../../options/sandbox_options.ts";
import { homeDirectory, openHome } from "../../platform/home.ts";
import { ownProcess } from "../../platform/process_identity.ts";
import type { SandboxRecord } from "../../state/sandbox_record.ts";
import type { StateStore } from "../../state/state_store.ts";
import { isLive, isOpenJob } from "../../state/status.ts";
import type {
  Backend,
  BackendSandbox,
  Boot,
  BootCallOptions,
  CreationKey,
  EventFeed,
  EventQuery,
  FoundSandbox,
  JobRecord,
  ListPage,
  ListQuery,
  NewEvent,
  SandboxLogs,
  SnapshotBackend,
  SnapshotRecord,
  StartOptions,
  TakeSnapshotOptions,
  VolumeBackend,
} from "../backend.ts";
import { presentPlan, reserveAddress } from "./address_lease.ts";
import { type BootedSandbox, createSandbox, startCore } from "./create.ts";
import { openEventFeed } from "./event_feed.ts";
import { hasHostProcess } from "./host_liveness.ts";
import { orphanedLogs } from "./local_logs.ts";
import { LocalSandbox, stateOf } from "./local_sandbox.ts";
import { localSnapshots } from "./local_snapshots.ts";
import { LocalVolumes } from "./local_volumes.ts";
import { carriedNetwork } from "./prepare_guest.ts";
import { reconcile, reconcileLive } from "./reconcile.ts";
import { takeSnapshot } from "./take_snapshot.ts";

/** A sandbox of this machine, with what is built on `LocalSandbox`: booting and snapshots. */
export class BootableSandbox extends LocalSandbox implements BackendSandbox {
  get backend(): Backend {
    return localBackend(this.state.home);
  }

  async start(options: StartOptions): Promise<Boot> {
    return bootOf(await startCore(this, options));
  }

  async updateNetwork(update: EgressUpdate): Promise<EgressReport> {
    const client = await this.connect();
    const isChange = Object.keys(update).length > 0;
    const carried = isChange ? carriedNetwork(this.id) : undefined;
    if (carried !== undefined) return await carried.update(update);
    const ask = async (question: EgressUpdate) =>
      JSON.parse(await client.updateNetwork(question)) as EgressReport; // from our own VM host process
    const now = await ask({});
    if (!isChange) return now;
    if (now.servedBy === "client")
      throw new UnsupportedError(`Cannot change the network of ${this.name} from here`, {
        hint: "change it in the process that provides its hooks: that process carries its connections",
      });
    return await ask(update);
  }

  async listJobs(): Promise<readonly JobRecord[]> {
    await this.record(); // what a crash has left open is closed by a look
    return this.state.jobs.list(this.id);
  }

  async findJob(idOrName: string): Promise<JobRecord | undefined> {
    const job = this.state.jobs.find(this.id, idOrName);
    if (job !== undefined && this.#isCurrent(job)) return job;
    await this.record(); // a crash that this look finds closes what it has left open
    return this.state.jobs.find(this.id, idOrName);
  }

  /** Whether a job's record needs no closer look: waits look at each change of anything, many at a time. */
  #isCurrent({ status }: JobRecord): boolean {
    if (!isOpenJob(status)) return true;
    const sandbox = this.state.findById(this.id);
    return sandbox !== undefined && isLive(sandbox.status) && hasHostProcess(sandbox);
  }

  takeSnapshot(options: TakeSnapshotOptions): Promise<SnapshotRecord> {
    return takeSnapshot(this, options);
  }
}

const backends = new Map<string, LocalBackend>();

/** The backend of a home. Nothing of the home is opened or made before it is needed. @default the home of the environment */
export function localBackend(home: string = homeDirectory()): Backend {
  const backend = backends.get(home) ?? new LocalBackend(home);
  backends.set(home, backend);
  return backend;
}

class LocalBackend implements Backend {
  readonly #home: string;

  constructor(home: string) {
    this.#home = home;
  }

  get #state(): StateStore {
    return stateOf(openHome(this.#home));
  }

  get snapshots(): SnapshotBackend {
    return localSnapshots(openHome(this.#home));
  }

  get volumes(): VolumeBackend {
    return new LocalVolumes(this.#state);
  }

  async create(options: SandboxOptions, call: BootCallOptions, key?: CreationKey): Promise<Boot> {
    const request = parseSandboxOptions(options); // refused before anything is opened
    return bootOf(await createSandbox(this.#state, request, call, key));
  }

  find(name: string): Promise<FoundSandbox | undefined> {
    return this.#look(this.#state.find(name));
  }

  findById(id: string): Promise<FoundSandbox | undefined> {
    return this.#look(this.#state.findById(id));
  }

  sandbox(key: { readonly id: string; readonly name: string }): BackendSandbox {
    return new BootableSandbox(this.#state, key);
  }

  async list({ limit, after, labels, statuses }: ListQuery): Promise<ListPage> {
    if (statuses !== undefined) await reconcileLive(this.#state); // before a status decides who is on the page
    const records = this.#state.list({ limit, after, labels, statuses });
    const looked = await Promise.all(records.map((record) => this.#look(record)));
    // A look may have shown that a sandbox crashed, or that nothing is left of it.
    const found = looked
      .filter((item) => item !== undefined)
      .filter(({ record }) => statuses?.includes(record.status) !== false);
    const last = limit === undefined || records.length < limit ? undefined : records.at(-1);
    const next = last === undefined ? undefined : { createdAtMs: last.createdAt.getTime(), id: last.id };
    return { found, next };
  }

  async findLogs(name: string): Promise<SandboxLogs> {
    const found = await this.find(name);
    return found === undefined ? await orphanedLogs(this.#state.home, name) : found.sandbox;
  }

  openEvents(query: EventQuery): EventFeed {
    return openEventFeed(this.#state, query);
  }

  async reserveAddress(network: NetworkConfig, id: string): Promise<string> {
    return reserveAddress(this.#state, network, id);
  }

  async releaseAddress(id: string): Promise<void> {
    this.#state.leases.release(id, ownProcess());
  }

  async networkPlan(network: NetworkConfig, id: string): Promise<NetworkPlan | undefined> {
    return presentPlan(this.#state, network, id);
  }

  async noteEvent(event: NewEvent): Promise<void> {
    const { eventLog } = this.#state;
    if (eventLog.latest(event.sandboxId, [event.action]) === undefined) eventLog.append(event);
  }

  /** Checks a record against the VM host process. */
  async #look(found: SandboxRecord | undefined): Promise<FoundSandbox | undefined> {
    const record = found === undefined ? undefined : await reconcile(this.#state, found);
    if (record === undefined) return undefined;
    return { sandbox: new BootableSandbox(this.#state, record), record };
  }
}

function bootOf({ core, config, vm, detached }: BootedSandbox): Boot {
  if (detached) vm.detach();
  const { bootNumber } = vm.key;
  return {
    sandbox: new BootableSandbox(core.state, core),
    config,
    detached,
    isLatest: () => core.state.findById(core.id)?.bootNumber === bootNumber,
    detach: vm.detach,
  };
}
