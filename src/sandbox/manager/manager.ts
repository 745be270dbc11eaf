/**
 * Many sandboxes, by id: for programs that hand them out, such as servers. It is a thin layer over what `Sandbox` uses,
 * and keeps nothing of its own but the creations that are under way or have failed: all else is in the state database, where
 * every other manager, process and `Sandbox` sees it.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import {
  type Backend,
  type BackendSandbox,
  type CreationKey,
  type FoundSandbox,
  isLive,
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  SandboxNotRunningError,
  SandboxStillRunningError,
  STOP_GRACE_MS,
} from "../../backend/backend.ts";
import { defaultBackend } from "../../backend/default_backend.ts";
import { InvalidConfigError, messageOf } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { hasLabels } from "../../options/labels.ts";
import { parseSandboxOptions, type SandboxOptions } from "../../options/sandbox_options.ts";
import { type SandboxEvent, type SandboxEventOptions, sandboxEvents } from "../events.ts";
import { destroy, setTimeLimits } from "../lifecycle.ts";
import { applyPatches } from "../patches/apply_patches.ts";
import { Sandbox } from "../sandbox.ts";
import { checkId, checkListing, checkRun } from "./check_input.ts";
import * as checkpoints from "./checkpoints.ts";
import { type Creation, creationSummary, warnOfFailure } from "./creation.ts";
import { infoOf, networkOf, summaryOf } from "./describe.ts";
import { managedExec, outputChunks, startManaged } from "./output_chunks.ts";
import { SandboxMap, stopAll } from "./sandbox_map.ts";
import { type SpecDefaults, withDefaults } from "./spec_defaults.ts";
import type {
  CheckpointInfo,
  CheckpointOptions,
  ManagedExec,
  ManagedRunOptions,
  ManagedState,
  OutputChunk,
  RestoreSpec,
  SandboxInfo,
  SandboxManagerConfig,
  SandboxSpec,
  SandboxSummary,
} from "./types.ts";

/** Failed creations that are remembered; of more, the oldest are forgotten. */
const FAILED_MAX = 1_000;

const configSchema = z.strictObject({
  defaults: z.record(z.string(), z.unknown()).optional(),
  detached: z.boolean().default(true),
  bootsMax: z.int().min(1).max(64).default(4),
});

/**
 * Creates, watches and removes sandboxes, and runs programs in them.
 *
 * Sandboxes go on when the manager's process ends (unless `detached` is false), and a new manager finds all of them.
 *
 * @example
 * ```ts
 * await using manager = new SandboxManager({ defaults: { image: "alpine", memoryMiB: 256 } });
 * const { id } = await manager.createSandbox({ labels: { job: "42" } });
 * for await (const chunk of await manager.runInSandbox(id, { cmd: ["echo", "hello"] })) {
 *   if (chunk.stream === "exit") console.log("exit code", chunk.exitCode);
 * }
 * await manager.removeSandbox(id, true);
 * ```
 */
export class SandboxManager implements AsyncDisposable {
  readonly #backend: Backend;
  readonly #defaults: SpecDefaults;
  readonly #detached: boolean;
  readonly #boots: Semaphore;
  readonly #creations = new Map<string, Creation>();
  /** Names of creations that are being checked. */
  readonly #names = new Set<string>();
  /** Those that end with this process. */
  readonly #owned = new SandboxMap<Sandbox>(async (id) => {
    const found = await this.#backend.findById(id);
    return found !== undefined && isLive(found.record.status);
  });

  /** @throws {InvalidConfigError} */
  /** @internal */
  constructor(config: SandboxManagerConfig = {}) {
    const { detached, bootsMax } = parseConfig(configSchema, config, "config");
    this.#backend = defaultBackend();
    this.#defaults = config.defaults ?? {};
    this.#detached = detached;
    this.#boots = new Semaphore(bootsMax);
  }

  /**
   * Begins to create a sandbox and returns at once: it is `starting`, and an event tells when it is `ready` or has
   * `failed`. What can be refused without trying is refused here.
   *
   * @returns Its `id`, and the address of its network interface as `inspectSandbox()` tells it; `""` without one.
   * @throws {InvalidConfigError}
   * @throws {SandboxAlreadyExistsError} if the name is taken.
   * @throws {NetworkExhaustedError} if no address is free in its network.
   * @throws {NetworkPrivilegeError} if it asks for network mode `tap` and this process must not make network devices.
   */
  createSandbox(spec: SandboxSpec = {}): Promise<{ readonly id: string; readonly ip: string }> {
    return this.#begin(spec);
  }

  async #begin(
    spec: SandboxSpec,
    snapshotId?: string,
  ): Promise<{ readonly id: string; readonly ip: string }> {
    const id = randomUUID();
    const options = this.#options(id, spec);
    const { config } = parseSandboxOptions(options);
    // Of two calls with a name, one sees the other: as being checked here, or as being created.
    if (this.#names.has(config.name) || this.#isBeingCreated(config.name))
      throw new SandboxAlreadyExistsError(config.name);
    this.#names.add(config.name);
    try {
      if ((await this.#backend.find(config.name)) !== undefined)
        throw new SandboxAlreadyExistsError(config.name);
      const ip = await this.#backend.reserveAddress(config.network, id);
      this.#noteCreation({ id, ip, config }, options, snapshotId);
      return { id, ip };
    } finally {
      this.#names.delete(config.name);
    }
  }

  #noteCreation(
    known: Pick<Creation, "id" | "ip" | "config">,
    options: SandboxOptions,
    snapshotId: string | undefined,
  ): void {
    const { id } = known;
    const abort = new AbortController();
    const creation: Creation = {
      ...known,
      createdAt: new Date(),
      abort,
      settled: this.#boots
        .run(() => this.#boot({ id, snapshotId }, options, abort.signal), abort.signal)
        .catch((error: unknown) => this.#fail(id, error)),
    };
    this.#creations.set(id, creation);
  }

  /**
   * Reads everything known of a sandbox, also of one that is being created or could not be.
   *
   * @throws {SandboxNotFoundError | InvalidConfigError}
   */
  async inspectSandbox(id: string): Promise<SandboxInfo> {
    const found = await this.#find(id);
    if (found !== undefined) return await infoOf(this.#backend, found.record);
    const creation = this.#creations.get(id);
    if (creation === undefined) throw new SandboxNotFoundError(id);
    return {
      ...creationSummary(creation),
      image: creation.config.image,
      cpus: creation.config.cpus,
      memoryMiB: creation.config.memoryMiB,
      network: await networkOf(this.#backend, creation.config.network, id),
      readyAt: undefined,
      lastExitedAt: undefined,
      lastExitCode: undefined,
      error: creation.error?.message,
    };
  }

  /**
   * All sandboxes of this home, in order of creation: those in `state`, if given, which have all of `labels`.
   *
   * @throws {InvalidConfigError} if `state` is unknown, or `labels` is not a record of at most 64 strings.
   */
  async listSandboxes(
    state?: ManagedState,
    labels: Readonly<Record<string, string>> = {},
  ): Promise<SandboxSummary[]> {
    checkListing(state, labels);
    const { found } = await this.#backend.list({ labels });
    const known = await Promise.all(found.map(({ record }) => summaryOf(this.#backend, record)));
    const ids = new Set(known.map(({ id }) => id));
    const others = [...this.#creations.values()]
      .filter(({ id, config }) => !ids.has(id) && hasLabels(config.labels, labels))
      .map(creationSummary);
    return [...known, ...others]
      .filter((summary) => state === undefined || summary.state === state)
      .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
  }

  /**
   * Stops a sandbox gracefully, and kills it after `timeoutMs`; 0 kills at once. One that is still booting is ended when it
   * has booted. One that has ended is left as it is.
   *
   * @throws {SandboxNotFoundError}
   * @throws {SandboxNotRunningError} if it could not be created.
   */
  async stopSandbox(id: string, timeoutMs: number = STOP_GRACE_MS): Promise<void> {
    const sandbox = await this.#sandbox(id);
    await sandbox.stop(timeoutMs);
    this.#owned.delete(id);
  }

  /**
   * Deletes a sandbox, its disk and logs included. With `force` it may run or be booting; it is killed.
   *
   * @throws {SandboxNotFoundError}
   * @throws {SandboxStillRunningError} if it runs, or is booting, without `force`.
   */
  async removeSandbox(id: string, force = false): Promise<void> {
    const creation = this.#creations.get(id);
    if (creation !== undefined && creation.error === undefined) {
      if (!force) throw new SandboxStillRunningError(creation.config.name, "remove");
      creation.abort.abort();
      await creation.settled;
    }
    const found = await this.#find(id);
    const failure = this.#creations.get(id);
    if (found === undefined) {
      if (failure === undefined) throw new SandboxNotFoundError(id);
      await this.#note(failure, "removed", {}); // before it is forgotten: a call that throws here can be repeated
    } else if (force) {
      await destroy(found.sandbox, { force });
    } else {
      await found.sandbox.remove();
    }
    this.#creations.delete(id);
    this.#owned.delete(id);
  }

  /**
   * Runs a program that reads nothing; waits for the sandbox if it is booting. The last chunk is `exit`. Cancelling the
   * stream kills the program.
   *
   * @throws {SandboxNotFoundError}
   * @throws {SandboxNotRunningError}
   * @throws {InvalidConfigError}
   * @throws {ExecFailedError} if it cannot be started.
   */
  async runInSandbox(id: string, options: ManagedRunOptions): Promise<ReadableStream<OutputChunk>> {
    checkRun(options);
    return outputChunks(await startManaged(await this.#sandbox(id), options, "null"));
  }

  /** Runs a program that is written to, and that may have a pseudo-terminal; otherwise as {@linkcode runInSandbox}. */
  async execInSandbox(id: string, options: ManagedRunOptions): Promise<ManagedExec> {
    checkRun(options);
    return managedExec(await startManaged(await this.#sandbox(id), options, "pipe"));
  }

  /** How much longer a running sandbox may live, in milliseconds from now; `null`: without limit. */
  async setTtl(id: string, ttlMs: number | null): Promise<void> {
    await setTimeLimits(await this.#sandbox(id), { maxDurationMs: ttlMs });
  }

  /**
   * Keeps the sandbox's disk as it is now, under an id and a name. It may run: its writes wait until the copy
   * is done. Its memory is not kept.
   *
   * @param name Unique among the snapshots of the home. @default an unused name
   * @throws {SandboxNotFoundError | SnapshotAlreadyExistsError | InvalidConfigError}
   * @throws {TimeoutError | AbortedError | IoError}
   */
  async checkpoint(id: string, name?: string, options?: CheckpointOptions): Promise<CheckpointInfo> {
    return await checkpoints.take(await this.#sandbox(id), name, options);
  }

  /**
   * Begins to create a sandbox with a copy of a checkpoint's disk; any number of them may have the same. Returns at once,
   * as {@linkcode createSandbox} does.
   *
   * @throws {SnapshotNotFoundError} if there is no such checkpoint.
   * @throws {InvalidConfigError | SandboxAlreadyExistsError}
   */
  async restore(spec: RestoreSpec): Promise<{ readonly id: string; readonly ip: string }> {
    return await this.#begin(await checkpoints.restoredSpec(this.#backend.snapshots, spec), spec.snapshotId);
  }

  /** The checkpoints of this home, those of `sandboxId` if given; the oldest first. The sandbox may be gone. */
  async listCheckpoints(sandboxId?: string): Promise<CheckpointInfo[]> {
    return await checkpoints.list(this.#backend.snapshots, sandboxId);
  }

  /** Deletes a checkpoint, its disk included. Sandboxes that were made from it stay. @throws {SnapshotNotFoundError} */
  async deleteCheckpoint(snapshotId: string): Promise<void> {
    await checkpoints.remove(this.#backend.snapshots, snapshotId);
  }

  /** Streams what happens to sandboxes from now on, or since an earlier moment, in any process. */
  subscribeEvents(options: Omit<SandboxEventOptions, "follow"> = {}): ReadableStream<SandboxEvent> {
    return sandboxEvents({ ...options, follow: true });
  }

  /** Takes back creations that are under way, and stops the sandboxes that are not detached. */
  async [Symbol.asyncDispose](): Promise<void> {
    const creations = [...this.#creations.values()];
    for (const { abort } of creations) abort.abort();
    await Promise.all(creations.map(({ settled }) => settled));
    const owned = [...this.#owned.values()];
    this.#owned.clear();
    await stopAll(owned);
  }

  #options(id: string, spec: SandboxSpec): SandboxOptions {
    const { ttlMs, name, image = "", ...options } = withDefaults(this.#defaults, spec);
    if (ttlMs !== undefined && options.maxDurationMs !== undefined)
      throw new InvalidConfigError([{ field: "ttlMs", problem: "must not be set beside maxDurationMs" }]);
    const limit = ttlMs === undefined ? {} : { maxDurationMs: ttlMs, ephemeral: true };
    return { ...options, ...limit, name: name ?? `sandbox-${id}`, image, detached: this.#detached };
  }

  #isBeingCreated(name: string): boolean {
    return [...this.#creations.values()].some(
      ({ config, error }) => config.name === name && error === undefined,
    );
  }

  async #boot(
    key: CreationKey & { readonly id: string },
    options: SandboxOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const sandbox = Sandbox.fromBoot(
      await this.#backend.create(options, { signal }, { ...key, applyPatches }),
    );
    if (!this.#detached) this.#owned.set(key.id, sandbox);
    this.#creations.delete(key.id);
  }

  async #fail(id: string, error: unknown): Promise<void> {
    const creation = this.#creations.get(id);
    const failure = error instanceof Error ? error : new Error(messageOf(error));
    if (creation !== undefined) creation.error = failure; // first: the rest needs a state database that can be written
    await warnOfFailure("give an address back", () => this.#backend.releaseAddress(id));
    if (creation === undefined) return;
    // A creation that got as far as the state database has recorded its failure there.
    await warnOfFailure("record that a creation failed", () =>
      this.#note(creation, "failed", { error: failure.message }),
    );
    const failed = [...this.#creations.values()].filter((other) => other.error !== undefined);
    for (const { id: old } of failed.slice(0, -FAILED_MAX)) this.#creations.delete(old);
  }

  async #note(
    { id, config }: Creation,
    action: "failed" | "removed",
    attributes: Record<string, unknown>,
  ): Promise<void> {
    await this.#backend.noteEvent({ sandboxId: id, name: config.name, action, attributes });
  }

  /** The sandbox, once it has been created. */
  async #sandbox(id: string): Promise<BackendSandbox> {
    const creation = this.#creations.get(id);
    await creation?.settled;
    const found = await this.#find(id);
    if (found !== undefined) return found.sandbox;
    if (creation?.error === undefined) throw new SandboxNotFoundError(id);
    throw new SandboxNotRunningError(creation.config.name, "failed", { cause: creation.error });
  }

  async #find(id: string): Promise<FoundSandbox | undefined> {
    checkId(id);
    const found = await this.#backend.findById(id);
    if (found === undefined) this.#owned.delete(id);
    return found;
  }
}
