/**
 * One sandbox of this machine, by its identity: finding it, connecting to it, ending it. Records are reconciled with the VM
 * host process each time they are read.
 *
 * @module
 */
import { AgentClient, type ConnectOptions } from "../../agent/client.ts";
import { MicrosandboxError, TimeoutError, UnsupportedError } from "../../base/errors.ts";
import { pollUntil, settlesWithin } from "../../base/wait.ts";
import type { LogReadOptions, LogSnapshot, LogStream, LogStreamOptions } from "../../logs/mod.ts";
import { checkGrace, checkTimeout } from "../../options/sandbox_options.ts";
import { openHome } from "../../platform/home.ts";
import {
  DatabaseError,
  SandboxNotFoundError,
  SandboxNotRunningError,
  SandboxReplacedError,
  SandboxStillRunningError,
} from "../../state/errors.ts";
import type { EventRecord } from "../../state/event_log.ts";
import { type SandboxRecord, StateStore } from "../../state/state_store.ts";
import { isLive } from "../../state/status.ts";
import { endMachine, relayPath } from "../../vmm/run_directory/dead_boot.ts";
import { type RecordedEnd, recordEnd } from "../../vmm/run_directory/end_record.ts";
import { crashReason } from "../../vmm/run_directory/last_words.ts";
import type { ChangeWatch } from "../backend.ts";
import { settleNetwork } from "./address_lease.ts";
import {
  hasEnded,
  hasHost,
  isAlive,
  isDeadWithin,
  isOutOfReach,
  killHost,
  terminateHost,
} from "./host_liveness.ts";
import { logsOf } from "./local_logs.ts";
import { clearRunDirectory, followEnd, reconcile } from "./reconcile.ts";
import { discard } from "./sandbox_directories.ts";
import { SharedConnection } from "./shared_connection.ts";

/** What a stop may take beyond its grace before the VM is killed: the flush, and the end of the VM. */
const STOP_OVERHEAD_MS = 15_000;
/** How long a kill may take: the kernel has to end a process. */
const KILL_TIMEOUT_MS = 5_000;
/** What of that a VM host process gets for its last records, before it is ended from outside. */
const LAST_RECORDS_MS = 1_000;
/** How long a VM host process may take to greet who wants a stop, before it gets a signal instead. */
const GREET_TIMEOUT_MS = 5_000;
const CONNECT_TIMEOUT_MS = 10_000;
/** What a VM may need to disappear after its sandbox is `stopped`. */
const SETTLE_TIMEOUT_MS = 10_000;
const EXIT_POLL_MS = 10;

const stores = new Map<string, StateStore>();
/**
 * By sandbox and home. However many handles a program has of a sandbox, it takes one of the few connections that a VM host
 * process serves.
 */
const connections = new Map<string, SharedConnection<AgentClient>>();

/** The state database of the home in use. */
export function openState(): StateStore {
  return stateOf(openHome());
}

export function stateOf(home: string): StateStore {
  let state = stores.get(home);
  if (state === undefined) {
    state = new StateStore(home);
    stores.set(home, state);
  }
  return state;
}

/** One sandbox, for good: a namesake that replaces it is another. */
export class LocalSandbox {
  readonly state: StateStore;
  readonly id: string;
  readonly name: string;
  constructor(state: StateStore, record: { readonly id: string; readonly name: string }) {
    this.state = state;
    this.id = record.id;
    this.name = record.name;
  }

  /** @throws {SandboxNotFoundError} if no sandbox has that name. */
  static async get(name: string): Promise<{ core: LocalSandbox; record: SandboxRecord }> {
    const found = await LocalSandbox.find(name);
    if (found === undefined) throw new SandboxNotFoundError(name);
    return found;
  }

  /** Like {@linkcode get}, with `undefined` if no sandbox has that name. */
  static async find(name: string): Promise<{ core: LocalSandbox; record: SandboxRecord } | undefined> {
    const state = openState();
    const found = state.find(name);
    const record = found === undefined ? undefined : await reconcile(state, found);
    return record === undefined ? undefined : { core: new LocalSandbox(state, record), record };
  }

  /**
   * The record as it is now.
   *
   * @throws {SandboxReplacedError} if another sandbox has the name now.
   * @throws {SandboxNotFoundError} if it was removed.
   */
  async record(): Promise<SandboxRecord> {
    const record = await this.find();
    if (record !== undefined) return record;
    if (this.state.find(this.name) !== undefined) throw new SandboxReplacedError(this.name);
    throw new SandboxNotFoundError(this.name);
  }

  /** The record as it is now; `undefined` if this sandbox is gone. */
  async find(): Promise<SandboxRecord | undefined> {
    const found = this.state.findById(this.id);
    return found === undefined ? undefined : await reconcile(this.state, found);
  }

  /** The connection to the running VM: one for all of this process, kept while it lasts. */
  async connect({ timeoutMs = CONNECT_TIMEOUT_MS, signal }: ConnectOptions = {}): Promise<AgentClient> {
    const key = `${this.id} ${this.state.home}`;
    let shared = connections.get(key);
    if (shared === undefined) {
      shared = new SharedConnection(
        (attempt) => this.openConnection({ timeoutMs: Number.POSITIVE_INFINITY, signal: attempt }),
        () => connections.delete(key),
      );
      connections.set(key, shared);
    }
    return await shared.get({ timeoutMs, signal });
  }

  /** A connection of the caller's own, for the caller to close. */
  async openConnection({ timeoutMs = CONNECT_TIMEOUT_MS, signal }: ConnectOptions): Promise<AgentClient> {
    const record = await this.record();
    if (!isLive(record.status) || record.runDirectory === undefined) {
      throw new SandboxNotRunningError(this.name, record.status, { reason: record.statusReason });
    }
    const client = await this.#greet(record.runDirectory, timeoutMs, signal);
    if (client.sandboxId === this.id) return client;
    client.close();
    throw new SandboxReplacedError(this.name);
  }

  /** Connects; a sandbox that ended while we did is one that does not run, not one that cannot be spoken to. */
  async #greet(
    runDirectory: string,
    timeoutMs: number,
    signal: AbortSignal | undefined,
  ): Promise<AgentClient> {
    try {
      return await AgentClient.connect(relayPath(runDirectory), {
        timeoutMs,
        signal,
        explainEnd: async () => (await this.find())?.statusReason,
      });
    } catch (cause) {
      const { status } = await this.record();
      throw isLive(status) ? cause : new SandboxNotRunningError(this.name, status, { cause });
    }
  }

  /**
   * Stops the sandbox gracefully; kills it after `graceMs` and the time that flushing takes. Resolves when the VM is gone. A
   * sandbox that does not run is left as it is.
   */
  async stop(graceMs: number): Promise<void> {
    checkGrace(graceMs);
    if (graceMs === 0) return await this.kill();
    const record = await this.record();
    if (!isLive(record.status)) return;
    const deadline = performance.now() + graceMs + STOP_OVERHEAD_MS;
    const client = await this.#connectToEnd(GREET_TIMEOUT_MS);
    client?.requestStop(graceMs);
    if (client === undefined) terminateHost(record);
    const restMs = deadline - performance.now();
    const gone = await settlesWithin(
      client?.holding(client.closed) ?? hasEnded(this.state, record, restMs),
      restMs,
    );
    if (!gone || (await isAlive(this.state, record))) await this.kill();
    await this.#seeEnd(record);
  }

  /** Ends the VM at once. Resolves when it is gone. */
  async kill(timeoutMs: number = KILL_TIMEOUT_MS): Promise<void> {
    checkTimeout(timeoutMs);
    const ended = await this.#beginKill(timeoutMs);
    await ended?.();
  }

  /**
   * Asks the VM host process to write its last records and end the VM at once; one that does not greet is killed. What
   * comes back waits for the end, and kills one that hangs.
   */
  async #beginKill(timeoutMs: number): Promise<(() => Promise<void>) | undefined> {
    const record = await this.record();
    if (!isLive(record.status)) return undefined;
    const begin = performance.now();
    const patienceMs = Math.min(LAST_RECORDS_MS, timeoutMs / 2);
    // A host that boots accepts no client yet, and has nothing to lose.
    const client = record.status === "creating" ? undefined : await this.#connectToEnd(patienceMs);
    let noted: SandboxRecord | undefined;
    const killNow = () => {
      if (isOutOfReach(this.state, record)) throw this.#hostIsOutOfReach();
      noted ??= this.#noteKilled(record);
      killHost(record);
    };
    if (client === undefined) killNow();
    else client.requestKill();
    return async () => {
      if (client !== undefined) {
        const restMs = begin + patienceMs - performance.now();
        const gone = await settlesWithin(client.holding(client.closed), restMs);
        if (!gone || (await isAlive(this.state, record))) killNow();
      }
      if (!(await isDeadWithin(this.state, record, timeoutMs - patienceMs)))
        throw this.#hostIsThere(timeoutMs);
      if (noted !== undefined) await followEnd(this.state, noted);
      await this.#seeEnd(record);
    };
  }

  /**
   * Records that the kill is on purpose, before its end can be seen and taken for a crash: a host process that is killed
   * from outside records nothing. Where the state database cannot be written, the run directory keeps it; a full disk must
   * not keep a VM from being killed.
   */
  #noteKilled({ bootNumber, runDirectory }: SandboxRecord): SandboxRecord | undefined {
    const now = this.state.findById(this.id);
    if (now === undefined || (now.status === "creating" && bootNumber === 1)) return undefined; // see reconcile()
    try {
      const isNoted = this.state.transition({ id: this.id, bootNumber }, "stopped", { reason: "killed" });
      return isNoted ? this.state.findById(this.id) : undefined;
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      if (runDirectory !== undefined) keepEnd(runDirectory, { action: "stopped", reason: "killed" });
      return undefined;
    }
  }

  /**
   * Waits until nothing is left of the last boot of a sandbox that has ended. It is `stopped` a moment before its VM is
   * gone, and lets go of its disk only then.
   */
  async settle(record: SandboxRecord): Promise<void> {
    if (isLive(record.status)) return;
    const limits = { everyMs: EXIT_POLL_MS, timeoutMs: SETTLE_TIMEOUT_MS };
    const isGone = await pollUntil(() => !hasHost(this.state, record), limits);
    if (isGone !== true) throw this.#hostIsThere(SETTLE_TIMEOUT_MS);
    await endMachine(record.runDirectory); // of a host that was killed: it may still have the disk open
    clearRunDirectory(this.state, record);
    await settleNetwork(this.state, record);
  }

  /** Asks for the stop sequence, or for a kill if `graceMs` is 0; does not wait for it. */
  async requestStop(graceMs: number): Promise<void> {
    checkGrace(graceMs);
    if (graceMs === 0) return await this.#requestKill();
    const record = await this.record();
    if (!isLive(record.status)) return;
    const client = await this.#connectToEnd(GREET_TIMEOUT_MS);
    if (client === undefined) terminateHost(record);
    else client.requestStop(graceMs);
  }

  async #requestKill(): Promise<void> {
    const ended = await this.#beginKill(KILL_TIMEOUT_MS);
    ended?.().catch(() => {}); // not waited for: the next look sees the outcome
  }

  /**
   * Asks the guest's agent of a running sandbox for a sign of life. If there is none in time, the sandbox is ended and
   * noted as crashed.
   *
   * @returns Whether it answered.
   */
  async checkHealth(timeoutMs: number): Promise<boolean> {
    checkTimeout(timeoutMs);
    // An answer is a better sign of life than record() looks for; that is asked where there is none.
    const record = this.state.findById(this.id) ?? (await this.record());
    if (record.status !== "running") return false;
    try {
      await (await this.connect({ timeoutMs })).ping(timeoutMs);
      return true;
    } catch (error) {
      if ((await this.record()).status !== "running") return false; // it ended while we asked
      if (!(error instanceof TimeoutError)) throw error;
    }
    const reason = `the guest's agent gave no sign of life for ${timeoutMs} ms`;
    this.state.transition(record, "crashed", { reason: crashReason(reason, record.runDirectory ?? "") });
    killHost(record);
    if (!(await isDeadWithin(this.state, record, KILL_TIMEOUT_MS))) throw this.#hostIsThere(KILL_TIMEOUT_MS);
    await followEnd(this.state, record);
    return false;
  }

  /**
   * Records an end that nothing has recorded yet, and releases the network of the boot. The VM is gone: a state database
   * that cannot be written, as on a full disk, does not change that, and the next look records the end.
   */
  async #seeEnd(boot: SandboxRecord): Promise<void> {
    try {
      await this.find();
      await settleNetwork(this.state, boot);
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error;
      process.emitWarning(`${this.name} has ended, which cannot be recorded yet: ${error.message}`, {
        code: "MSB_STATE",
      });
    }
  }

  /** Deletes a sandbox that does not run, its disk and its logs included. */
  async remove(): Promise<void> {
    await this.#remove(await this.record());
  }

  /** Like {@linkcode remove}; a sandbox that is gone, as an ephemeral one is once it has ended, is what is wanted. */
  async removeIfThere(): Promise<void> {
    const record = await this.find();
    if (record !== undefined) await this.#remove(record);
  }

  async #remove(record: SandboxRecord): Promise<void> {
    await this.settle(record);
    if (discard(this.state, this) === "live") throw new SandboxStillRunningError(this.name, "remove");
  }

  /** Reads its logs, whether it runs or not. */
  async readLogs(options: LogReadOptions): Promise<LogSnapshot> {
    await this.record();
    return await (await logsOf(this.state.home, this)).readLogs(options);
  }

  /** Opens a stream of its logs, which ends with the sandbox. */
  async openLogStream(options: LogStreamOptions): Promise<LogStream> {
    await this.record();
    return await (await logsOf(this.state.home, this)).openLogStream(options);
  }

  /** The latest event of an end. */
  async lastEnd(): Promise<EventRecord | undefined> {
    return this.state.eventLog.latest(this.id, ["stopped", "crashed", "failed"]);
  }

  watchChanges(): ChangeWatch {
    return this.state.watch();
  }

  /** A connection for ending the VM; `undefined` if the host process does not serve one, or has no room for it. */
  async #connectToEnd(timeoutMs: number): Promise<AgentClient | undefined> {
    try {
      return await this.connect({ timeoutMs });
    } catch (error) {
      if (MicrosandboxError.is(error)) return undefined; // it does not greet: the caller takes other means
      throw error;
    }
  }

  #hostIsOutOfReach(): UnsupportedError {
    return new UnsupportedError(
      `Cannot kill ${this.name}: its VM host process runs in another PID namespace`,
      {
        hint: "kill it in the container or namespace where it was started",
      },
    );
  }

  #hostIsThere(timeoutMs: number): TimeoutError {
    return new TimeoutError(`waiting for the VM host process of ${this.name} to end`, timeoutMs);
  }
}

function keepEnd(runDirectory: string, end: RecordedEnd): void {
  try {
    recordEnd(runDirectory, end);
  } catch {
    // That disk is full, too: the end then counts as a crash.
  }
}
