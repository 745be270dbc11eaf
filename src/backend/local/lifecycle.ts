/**
 * Ways from one status to another, and waiting for them: for `Sandbox` and `SandboxHandle` alike. Each concerns one
 * sandbox by its identity, and rejects with `SandboxReplacedError` once another one has its name.
 *
 * @module
 */
import { z } from "zod";
import { AbortedError, InvalidConfigError, MicrosandboxError, TimeoutError } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { checkSandboxName, checkTimeout, type SandboxOptions } from "../../options/sandbox_options.ts";
import {
  isGone,
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  SandboxReplacedError,
  SandboxStillRunningError,
} from "../../state/errors.ts";
import type { EventRecord } from "../../state/event_log.ts";
import type { SandboxRecord, StateStore } from "../../state/state_store.ts";
import {
  isLive,
  isSandboxStatus,
  LIVE_STATUSES,
  type SandboxStatus,
  TRANSITIONS,
} from "../../state/status.ts";
import { type BootCallOptions, type BootedSandbox, createSandbox, startCore } from "./create.ts";
import { LocalSandbox, STOP_GRACE_MS } from "./local_sandbox.ts";

/** How long a wait may go without a look: for a change that nobody wrote down, such as the end of a killed host. */
export const LOOK_INTERVAL_MS = 1_000;
/** How long `checkHealth` waits: longer than a host under heavy load makes a healthy guest wait. */
export const HEALTH_TIMEOUT_MS = 30_000;
/** signal(7) */
const SIGKILL = 9;
/** Others may create, start, stop and remove a sandbox as often while we try to get hold of it. */
const TURNS_MAX = 10;

/** Answer of `ping()`. */
export interface SandboxPingResult {
  readonly name: string;
  /** From the question to the guest's answer, in milliseconds. */
  readonly latencyMs: number;
}

/** Answer of `touch()`. */
export interface SandboxTouchResult {
  readonly name: string;
  /** How many activities this boot has seen. */
  readonly activitySeq: number;
}

/** How a sandbox ended. */
export interface SandboxStopResult {
  readonly name: string;
  /** `stopped` or `crashed`. */
  readonly status: SandboxStatus;
  /**
   * Why: `requested`, `killed`, `ownerGone`, `maxDuration`, `idleTimeout` or `drained`; of a crash, what was seen of it.
   */
  readonly reason: string | undefined;
  /** As of a process: 0 if it ended in order, null if it was killed or crashed. Programs' own codes are `exec()`'s to say. */
  readonly exitCode: number | null;
  /** 9 if it was killed on purpose, else null. */
  readonly signal: number | null;
  /** When the end was recorded. */
  readonly observedAt: Date;
  /** Where this is known from. */
  readonly source: "registry" | "events";
}

/** How to wait. */
export interface WaitOptions {
  /** @default without limit */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How to end a sandbox on the way to something else. */
export interface EndOptions {
  /** Kill instead of stopping in order. @default {false} */
  readonly force?: boolean | undefined;
  /** Grace of the stop, in milliseconds. @default {10_000} */
  readonly timeoutMs?: number | undefined;
}

/** See `SandboxHandle.restart()`. */
export interface RestartOptions extends EndOptions, BootCallOptions {
  /** Whether the sandbox outlives this process. @default {false} */
  readonly detached?: boolean | undefined;
}

/** See `SandboxHandle.destroy()`. */
export type DestroyOptions = EndOptions;

/** See `SandboxHandle.connectOrStart()`. */
export interface ConnectOrStartOptions extends BootCallOptions {
  /** If it has to be started: whether it outlives this process. @default {false} */
  readonly detached?: boolean | undefined;
}

/**
 * Repeats `look` after each change of the state database until it has a result.
 *
 * @throws {TimeoutError}
 * @throws {AbortedError}
 */
export async function waitForState<T>(
  state: StateStore,
  action: string,
  look: () => Promise<T | undefined>,
  { timeoutMs, signal }: WaitOptions = {},
): Promise<T> {
  if (timeoutMs !== undefined) checkTimeout(timeoutMs);
  using watch = state.watch();
  const never = new AbortController().signal;
  const deadline = timeoutMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + timeoutMs;
  for (;;) {
    const { version } = watch;
    const result = await look();
    if (result !== undefined) return result;
    if (signal?.aborted) throw new AbortedError(action, signal.reason);
    const restMs = deadline - performance.now();
    if (restMs <= 0) throw new TimeoutError(action, timeoutMs ?? 0);
    await watch.changed(version, Math.min(restMs, LOOK_INTERVAL_MS), signal ?? never);
  }
}

/**
 * Statuses that the official SDK has beside ours. Ours has no name for them as they are over at once here: a sandbox is
 * created when its row is there, and starting as soon as a boot has claimed it. So a wait for one that has passed ends.
 */
const PASSED_STATUSES = {
  created: Object.keys(TRANSITIONS).filter(isSandboxStatus),
  starting: LIVE_STATUSES,
} as const satisfies Readonly<Record<string, readonly SandboxStatus[]>>;

/**
 * Resolves with the record once it has one of `statuses`. A status that is over between two looks is not seen.
 *
 * @throws {InvalidConfigError} if a status is unknown, since waiting for it would never end.
 */
export async function waitForStatus(
  core: LocalSandbox,
  statuses: readonly (SandboxStatus | keyof typeof PASSED_STATUSES)[],
  options?: WaitOptions,
): Promise<SandboxRecord> {
  const accepted = statuses.flatMap(statusesFor);
  const look = async () => {
    const record = await core.record();
    return accepted.includes(record.status) ? record : undefined;
  };
  const action = `waiting until ${core.name} is ${statuses.join(" or ")}`;
  return await waitForState(core.state, action, look, options);
}

function statusesFor(status: unknown): readonly SandboxStatus[] {
  if (isSandboxStatus(status)) return [status];
  if (status === "created" || status === "starting") return PASSED_STATUSES[status];
  const known = [...Object.keys(TRANSITIONS), ...Object.keys(PASSED_STATUSES)].join(", ");
  const problem = `must be one of ${known}: current value is ${JSON.stringify(status)}`;
  throw new InvalidConfigError([{ field: "status", problem }]);
}

/**
 * Resolves when the sandbox has ended, with how it did. That it was started again or removed meanwhile changes nothing:
 * its events tell.
 */
export async function waitUntilStopped(
  core: LocalSandbox,
  options?: WaitOptions,
): Promise<SandboxStopResult> {
  const seen = core.state.eventLog.range().newest; // first: it may end and be started again while we look
  const begin = await core.find();
  const look = async () => {
    const record = await core.find();
    const isSameBoot = record !== undefined && record.bootNumber === (begin ?? record).bootNumber;
    if (isSameBoot) return isLive(record.status) ? undefined : resultOfRecord(record);
    const event = core.state.eventLog.latest(core.id, ["stopped", "crashed", "failed"]);
    if (event !== undefined && (event.sequence > seen || record === undefined)) return resultOfEvent(event);
    await core.record(); // gone without a trace: says how
    return undefined;
  };
  return await waitForState(core.state, `waiting until ${core.name} has ended`, look, options);
}

function resultOfRecord({ name, status, statusReason, updatedAt }: SandboxRecord): SandboxStopResult {
  return { name, ...endOf(status, statusReason), observedAt: updatedAt, source: "registry" };
}

function resultOfEvent({ name, action, timestamp, attributes }: EventRecord): SandboxStopResult {
  const reason = attributes["reason"] ?? attributes["error"];
  const end = endOf(
    action === "stopped" ? "stopped" : "crashed",
    typeof reason === "string" ? reason : undefined,
  );
  return { name, ...end, observedAt: timestamp, source: "events" };
}

/**
 * What the exit status of a process would say of this end. The VM host process itself exits alike whatever happened, so
 * this is told from what was written down.
 */
function endOf(
  status: SandboxStatus,
  reason: string | undefined,
): Pick<SandboxStopResult, "status" | "reason" | "exitCode" | "signal"> {
  const isKilled = status === "stopped" && reason === "killed";
  const isInOrder = status === "stopped" && !isKilled;
  return { status, reason, exitCode: isInOrder ? 0 : null, signal: isKilled ? SIGKILL : null };
}

/** What `connectOrStart` came to: a sandbox that ran already, or one that was booted. */
export type Obtained =
  | { readonly kind: "running"; readonly core: LocalSandbox }
  | { readonly kind: "booted"; readonly booted: BootedSandbox };

/** Waits while the sandbox is starting or stopping; starts it if it does not run. */
export async function connectOrStart(
  core: LocalSandbox,
  options: ConnectOrStartOptions = {},
): Promise<Obtained> {
  for (let turn = 1; ; turn++) {
    const record = await waitForStatus(core, ["running", "paused", "stopped", "crashed"], options);
    try {
      if (!isLive(record.status)) return { kind: "booted", booted: await startCore(core, options) };
      await core.connect({ signal: options.signal });
      return { kind: "running", core };
    } catch (error) {
      // Somebody else started it, or it ended, in between: look again.
      const isOvertaken =
        error instanceof SandboxStillRunningError ||
        (MicrosandboxError.is(error) && isLive(record.status) && !isLive((await core.record()).status));
      if (!isOvertaken || turn === TURNS_MAX) throw error;
    }
  }
}

/** See `Sandbox.connectOrCreate()`. */
export async function connectOrCreate(
  options: SandboxOptions,
  call: BootCallOptions = {},
): Promise<Obtained> {
  checkSandboxName(options.name);
  if (options.replace !== undefined && options.replace !== false)
    throw new InvalidConfigError([{ field: "replace", problem: "must not be set for connectOrCreate()" }]);
  for (let turn = 1; ; turn++) {
    try {
      const found = await LocalSandbox.find(options.name);
      if (found === undefined) return { kind: "booted", booted: await createSandbox(options, call) };
      return await connectOrStart(found.core, { ...call, detached: options.detached });
    } catch (error) {
      const isOvertaken =
        error instanceof SandboxAlreadyExistsError ||
        error instanceof SandboxNotFoundError ||
        error instanceof SandboxReplacedError;
      if (!isOvertaken || turn === TURNS_MAX) throw error;
    }
  }
}

/** Stops the sandbox if it runs, and boots it. */
export async function restart(core: LocalSandbox, options: RestartOptions = {}): Promise<BootedSandbox> {
  await end(core, options);
  return await startCore(core, options);
}

/** Stops the sandbox if it runs, and removes it. That somebody else does so meanwhile is as good. */
export async function destroy(core: LocalSandbox, options: DestroyOptions = {}): Promise<void> {
  await core.record();
  try {
    await end(core, options);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  await core.removeIfThere();
}

/** Limits to set, in milliseconds; `null` lifts one. */
export interface TimeLimitChanges {
  /** How much longer the sandbox may run. */
  readonly maxDurationMs?: number | null | undefined;
  /** See `SandboxOptions.idleTimeoutMs`. */
  readonly idleTimeoutMs?: number | null | undefined;
}

const limitMs = z.int().min(1).nullable().optional();
const limitsSchema = z.strictObject({ maxDurationMs: limitMs, idleTimeoutMs: limitMs });

/** @throws {InvalidConfigError} */
export async function setTimeLimits(core: LocalSandbox, changes: TimeLimitChanges): Promise<void> {
  const limits = parseConfig(limitsSchema, changes, "limits");
  const zeroIfNull = (limit: number | null | undefined) => (limit === null ? 0 : limit);
  await (await core.connect()).setLimits({
    maxDurationMs: zeroIfNull(limits.maxDurationMs),
    idleTimeoutMs: zeroIfNull(limits.idleTimeoutMs),
  });
}

/** Has the sandbox refuse new programs and stop when those that run have ended. Resolves when that is in force. */
export async function requestDrain(core: LocalSandbox): Promise<void> {
  const record = await core.record();
  if (isLive(record.status)) await (await core.connect()).drain();
}

async function end(
  core: LocalSandbox,
  { force = false, timeoutMs = STOP_GRACE_MS }: EndOptions,
): Promise<void> {
  if (force) await core.kill();
  else await core.stop(timeoutMs);
}
