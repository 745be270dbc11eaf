/**
 * A backend without this machine's: records in a map, and for each running sandbox a relay and a guest agent as an ordinary
 * process. It proves that faces need nothing beyond the seam, and stands for backends of other machines.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import type { AgentClient } from "../../../src/agent/client.ts";
import type {
  Backend,
  BackendSandbox,
  Boot,
  BootCallOptions,
  ChangeWatch,
  CreationKey,
  EventFeed,
  EventQuery,
  EventRecord,
  FoundSandbox,
  JobRecord,
  ListPage,
  ListQuery,
  SandboxRecord,
  SandboxStatus,
  SnapshotBackend,
} from "../../../src/backend/backend.ts";
import {
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  SandboxNotRunningError,
  SandboxStillRunningError,
} from "../../../src/backend/backend.ts";
import { UnsupportedError } from "../../../src/base/errors.ts";
import { hasLabels } from "../../../src/options/labels.ts";
import {
  type CreateRequest,
  parseSandboxOptions,
  type SandboxOptions,
} from "../../../src/options/sandbox_options.ts";
import { FakeHost } from "../host/in_process_host.ts";
import { MemoryVolumes } from "./memory_volumes.ts";

/** An image that says nothing of how to run it. */
const NO_DEFAULTS = { entrypoint: [], cmd: [], env: [], workingDir: "", user: "", labels: {} } as const;

function isOpen({ status }: JobRecord): boolean {
  return status === "starting" || status === "running";
}

/** A sandbox of a {@linkcode MemoryBackend}, with its guest while it runs. */
class MemorySandbox implements BackendSandbox {
  readonly backend: MemoryBackend;
  readonly id: string;
  readonly name: string;
  current: SandboxRecord;
  #host: FakeHost | undefined;
  /** Jobs of earlier boots. */
  #ended: readonly JobRecord[] = [];
  #client: Promise<AgentClient> | undefined;

  constructor(backend: MemoryBackend, request: CreateRequest, id: string) {
    const config = { ...request.config, imageConfig: NO_DEFAULTS };
    this.backend = backend;
    this.id = id;
    this.name = config.name;
    const now = new Date();
    this.current = {
      id: this.id,
      name: this.name,
      status: "creating",
      statusReason: undefined,
      bootNumber: 0,
      configJson: JSON.stringify(config),
      imageDigest: "",
      createdAt: now,
      updatedAt: now,
      readyAt: undefined,
      isBusy: false,
      idleAt: undefined,
      idleExitCode: undefined,
      labels: config.labels,
    };
  }

  async record(): Promise<SandboxRecord> {
    if (this.backend.sandboxes.get(this.name) === this) return this.current;
    throw new SandboxNotFoundError(this.name);
  }

  async find(): Promise<SandboxRecord | undefined> {
    return this.backend.sandboxes.get(this.name) === this ? this.current : undefined;
  }

  async connect(): Promise<AgentClient> {
    if (this.#host === undefined) throw new SandboxNotRunningError(this.name, this.current.status);
    this.#client ??= this.#host.connect();
    return await this.#client;
  }

  /** As a boot, with the patches of a creation before it counts as running. */
  async create({ patches }: CreateRequest, { signal }: BootCallOptions, key: CreationKey): Promise<Boot> {
    try {
      return await this.#boot(async () => {
        if (patches.length > 0) await key.applyPatches?.(await this.connect(), patches, signal);
      });
    } catch (error) {
      await this.stop();
      await this.remove();
      throw error;
    }
  }

  async updateNetwork(): Promise<never> {
    throw new UnsupportedError("a sandbox in memory has no network");
  }

  async start(): Promise<Boot> {
    if (this.#host !== undefined) throw new SandboxStillRunningError(this.name, "start");
    return await this.#boot(async () => {});
  }

  async #boot(prepare: () => Promise<void>): Promise<Boot> {
    this.#host = await FakeHost.start();
    this.#host.jobs.onSaved = () => this.backend.wake();
    await prepare();
    const bootNumber = this.current.bootNumber + 1;
    this.current = { ...this.current, bootNumber };
    this.to("running", "ready");
    return {
      sandbox: this,
      config: JSON.parse(this.current.configJson),
      detached: false,
      isLatest: () => this.current.bootNumber === bootNumber,
      detach: () => {},
    };
  }

  async stop(): Promise<void> {
    const host = this.#host;
    this.#host = undefined;
    this.#client = undefined;
    if (host === undefined) return;
    const jobs = [...host.jobs.records.values()];
    await host[Symbol.asyncDispose]();
    this.#ended = [
      ...this.#ended,
      ...jobs.map((job) => (isOpen(job) ? { ...job, status: "lost" as const } : job)),
    ];
    this.to("stopped", "stopped", { reason: "requested" });
  }

  requestStop(): Promise<void> {
    return this.stop();
  }

  kill(): Promise<void> {
    return this.stop();
  }

  async checkHealth(): Promise<boolean> {
    return this.#host !== undefined;
  }

  async remove(): Promise<void> {
    if (this.#host !== undefined) throw new SandboxStillRunningError(this.name, "remove");
    this.backend.sandboxes.delete(this.name);
    this.backend.note(this, "removed");
  }

  async removeIfThere(): Promise<void> {
    if ((await this.find()) !== undefined) await this.remove();
  }

  async listJobs(): Promise<readonly JobRecord[]> {
    const present = [...(this.#host?.jobs.records.values() ?? [])];
    return [...this.#ended, ...present.map((job) => ({ ...job, bootNumber: this.current.bootNumber }))];
  }

  async findJob(idOrName: string): Promise<JobRecord | undefined> {
    const jobs = (await this.listJobs()).toReversed();
    const named = jobs.filter(({ name }) => name === idOrName);
    return (
      jobs.find(({ id }) => id === idOrName) ?? named.find(({ status }) => status === "running") ?? named[0]
    );
  }

  readLogs(): never {
    throw new UnsupportedError("this backend keeps no logs");
  }

  openLogStream(): never {
    throw new UnsupportedError("this backend keeps no logs");
  }

  takeSnapshot(): never {
    throw new UnsupportedError("this backend takes no snapshots");
  }

  async lastEnd(): Promise<EventRecord | undefined> {
    return this.backend.events.findLast(
      ({ sandboxId, action }) => sandboxId === this.id && ["stopped", "crashed", "failed"].includes(action),
    );
  }

  watchChanges(): ChangeWatch {
    return this.backend.watch();
  }

  to(status: SandboxStatus, action: string, attributes: Record<string, unknown> = {}): void {
    this.current = { ...this.current, status, updatedAt: new Date() };
    this.backend.note(this, action, attributes);
  }
}

/** See the module comment. */
export class MemoryBackend implements Backend, AsyncDisposable {
  readonly sandboxes = new Map<string, MemorySandbox>();
  readonly events: EventRecord[] = [];
  readonly volumes = new MemoryVolumes();
  readonly #waiting = new Set<() => void>();
  #changes = 0;

  get snapshots(): SnapshotBackend {
    throw new UnsupportedError("this backend takes no snapshots");
  }

  async create(options: SandboxOptions, call: BootCallOptions, key: CreationKey = {}): Promise<Boot> {
    const request = parseSandboxOptions(options);
    const sandbox = new MemorySandbox(this, request, key.id ?? randomUUID());
    if (this.sandboxes.has(sandbox.name)) throw new SandboxAlreadyExistsError(sandbox.name);
    this.sandboxes.set(sandbox.name, sandbox);
    this.note(sandbox, "created");
    return await sandbox.create(request, call, key);
  }

  async find(name: string): Promise<FoundSandbox | undefined> {
    const sandbox = this.sandboxes.get(name);
    return sandbox === undefined ? undefined : { sandbox, record: sandbox.current };
  }

  async findById(id: string): Promise<FoundSandbox | undefined> {
    const sandbox = [...this.sandboxes.values()].find((other) => other.id === id);
    return sandbox === undefined ? undefined : { sandbox, record: sandbox.current };
  }

  sandbox({ name }: { readonly name: string }): BackendSandbox {
    const sandbox = this.sandboxes.get(name);
    if (sandbox === undefined) throw new SandboxNotFoundError(name);
    return sandbox;
  }

  async list({
    limit = Number.POSITIVE_INFINITY,
    after,
    statuses,
    labels = {},
  }: ListQuery): Promise<ListPage> {
    const all = [...this.sandboxes.values()].filter(
      ({ current }) =>
        hasLabels(current.labels, labels) && (statuses === undefined || statuses.includes(current.status)),
    );
    const begin = after === undefined ? 0 : all.findIndex(({ id }) => id === after.id) + 1;
    const page = all.slice(begin, begin + limit);
    const last = page.length < limit ? undefined : page.at(-1);
    return {
      found: page.map((sandbox) => ({ sandbox, record: sandbox.current })),
      next: last === undefined ? undefined : { createdAtMs: last.current.createdAt.getTime(), id: last.id },
    };
  }

  async findLogs(name: string): Promise<BackendSandbox> {
    return this.sandbox({ name });
  }

  openEvents({ follow, name }: EventQuery): EventFeed {
    let read = follow ? this.events.length : 0;
    const watch = this.watch();
    return {
      next: async (signal) => {
        while (!signal.aborted) {
          const { version } = watch;
          const events = this.events.slice(read).filter((event) => name === undefined || event.name === name);
          read = this.events.length;
          if (events.length > 0) return events;
          if (!follow) return undefined;
          await watch.changed(version, 1_000, signal);
        }
        return undefined;
      },
      close: () => watch[Symbol.dispose](),
    };
  }

  async reserveAddress(): Promise<string> {
    return "";
  }

  async releaseAddress(): Promise<void> {}

  async networkPlan(): Promise<undefined> {}

  async noteEvent(): Promise<void> {}

  note({ id, name }: MemorySandbox, action: string, attributes: Record<string, unknown> = {}): void {
    const sequence = this.events.length + 1;
    this.events.push({ sequence, sandboxId: id, name, action, timestamp: new Date(), attributes });
    for (const wake of this.#waiting) wake();
  }

  /** Something has changed that is no event. */
  wake(): void {
    this.#changes++;
    for (const wake of this.#waiting) wake();
  }

  watch(): ChangeWatch {
    const { events } = this;
    const version = () => events.length + this.#changes;
    const waiting = this.#waiting;
    return {
      get version() {
        return version();
      },
      async changed(seen, timeoutMs, signal) {
        if (version() !== seen || signal.aborted) return;
        const woken = Promise.withResolvers<void>();
        const timer = setTimeout(woken.resolve, timeoutMs);
        waiting.add(woken.resolve);
        signal.addEventListener("abort", () => woken.resolve(), { once: true });
        await woken.promise;
        waiting.delete(woken.resolve);
        clearTimeout(timer);
      },
      [Symbol.dispose]: () => {},
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const sandbox of this.sandboxes.values()) await sandbox.stop();
  }
}
