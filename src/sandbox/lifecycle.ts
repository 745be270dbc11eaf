/**
 * Ways from one status to another, and waiting for them: for `Sandbox` and `SandboxHandle` alike. Each concerns one
 * sandbox by its identity, and rejects with `SandboxReplacedError` once another one has its name.
 *
 * @module
 */
import { z } from "zod";
import {
  type Backend,
  type BackendSandbox,
  type Boot,
  type BootCallOptions,
  type EventRecord,
  isGone,
  isLive,
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  type SandboxRecord,
  SandboxReplacedError,
  type SandboxStatus,
  SandboxStillRunningError,
  STOP_GRACE_MS,
  type StartCallOptions,
} from "../backend/backend.ts";
import { type WaitOptions, waitFor, waitForStatus } from "../backend/wait_for.ts";
import { InvalidConfigError, MicrosandboxError } from "../base/errors.ts";
import { checkObject, parseConfig } from "../base/parse_config.ts";
import type { HttpHooks } from "../egress/http/hooks.ts";
import { checkHooks } from "../options/network_hooks.ts";
import { type StoredNetwork, secretsOf } from "../options/network_options.ts";
import { checkSandboxName, parseStoredConfig, type SandboxOptions } from "../options/sandbox_options.ts";
import { resolveSecrets, type SecretValues, type StoredSecret } from "../options/secret_options.ts";

import { applyPatches } from "./patches/apply_patches.ts";

export { type WaitableStatus, type WaitOptions, waitForStatus } from "../backend/wait_for.ts";

/** How long `checkHealth` waits: longer than a host under heavy load makes a healthy guest wait. */
export const HEALTH_TIMEOUT_MS = 30_000;
/** signal(7) */
const SIGKILL = 9;
/** Others may create, start, stop and remove a sandbox as often while we try to get hold of it. */
const TURNS_MAX = 10;

/** Answer of `ping()`. */
export interface SandboxPingResult {
  /** The name of the sandbox. */
  readonly name: string;
  /** From the question to the guest's answer, in milliseconds. */
  readonly latencyMs: number;
}

/** Answer of `touch()`. */
export interface SandboxTouchResult {
  /** The name of the sandbox. */
  readonly name: string;
  /** How many activities this boot has seen. */
  readonly activitySeq: number;
}

/** How a sandbox ended. */
export interface SandboxStopResult {
  /** The name of the sandbox. */
  readonly name: string;
  /** `stopped` or `crashed`. */
  readonly status: SandboxStatus;
  /**
   * Why: `requested`, `killed`, `ownerGone`, `maxDuration`, `idleTimeout`, `drained`, or `networkViolation`, for which it was killed;
   * of a crash, what was seen of it.
   */
  readonly reason: string | undefined;
  /**
   * Exit code of the sandbox as a whole: 0 after a graceful stop, `null` after a kill or a crash. For a program's exit code
   * see `exec()`.
   */
  readonly exitCode: number | null;
  /** 9 if it was killed on purpose, else null. */
  readonly signal: number | null;
  /** When the end was recorded. */
  readonly observedAt: Date;
  /** Where this is known from. */
  readonly source: "registry" | "events";
}

/** How to end a sandbox on the way to something else. */
export interface EndOptions {
  /** Kills the sandbox instead of stopping it gracefully. @default {false} */
  readonly force?: boolean | undefined;
  /** Grace of the stop, in milliseconds. @default {10_000} */
  readonly timeoutMs?: number | undefined;
}

/** See `SandboxHandle.restart()`. */
export interface RestartOptions extends EndOptions, StartCallOptions {
  /** Whether the sandbox outlives this process. @default {false} */
  readonly detached?: boolean | undefined;
}

/** See `SandboxHandle.destroy()`. */
export type DestroyOptions = EndOptions;

/** See `SandboxHandle.connectOrStart()`. */
export interface ConnectOrStartOptions extends StartCallOptions {
  /** If it has to be started: whether it outlives this process. @default {false} */
  readonly detached?: boolean | undefined;
}

/**
 * Resolves with how the sandbox ended, once it has. A later start or removal changes nothing: the events keep the end.
 */
export async function waitUntilStopped(
  sandbox: BackendSandbox,
  options?: WaitOptions,
): Promise<SandboxStopResult> {
  const seen = (await sandbox.lastEnd())?.sequence ?? 0; // first: it may end and be started again while we look
  const begin = await sandbox.find();
  const look = async () => {
    const record = await sandbox.find();
    const isSameBoot = record !== undefined && record.bootNumber === (begin ?? record).bootNumber;
    if (isSameBoot) return isLive(record.status) ? undefined : resultOfRecord(record);
    const event = await sandbox.lastEnd();
    if (event !== undefined && (event.sequence > seen || record === undefined)) return resultOfEvent(event);
    await sandbox.record(); // throws, if the sandbox is gone without a trace
    return undefined;
  };
  return await waitFor(
    () => sandbox.watchChanges(),
    `waiting until ${sandbox.name} has ended`,
    look,
    options,
  );
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
 * The end as a process's exit status would express it. The VM host process exits the same way whatever happened, so this
 * is derived from the recorded status and reason.
 */
function endOf(
  status: SandboxStatus,
  reason: string | undefined,
): Pick<SandboxStopResult, "status" | "reason" | "exitCode" | "signal"> {
  const isKilled = status === "stopped" && (reason === "killed" || reason === "networkViolation");
  const isInOrder = status === "stopped" && !isKilled;
  return { status, reason, exitCode: isInOrder ? 0 : null, signal: isKilled ? SIGKILL : null };
}

/** What `connectOrStart` came to: a sandbox that ran already, or one that was booted. */
export type Obtained =
  | { readonly kind: "running"; readonly sandbox: BackendSandbox }
  | { readonly kind: "booted"; readonly boot: Boot };

/** Waits while the sandbox is starting or stopping; starts it if it does not run. */
export async function connectOrStart(
  sandbox: BackendSandbox,
  options: ConnectOrStartOptions = {},
): Promise<Obtained> {
  for (let turn = 1; ; turn++) {
    const record = await waitForStatus(sandbox, ["running", "paused", "stopped", "crashed"], options);
    try {
      if (!isLive(record.status)) return { kind: "booted", boot: await sandbox.start(options) };
      await sandbox.connect({ signal: options.signal });
      return { kind: "running", sandbox };
    } catch (error) {
      // Somebody else started it, or it ended, in between: look again.
      const isOvertaken =
        error instanceof SandboxStillRunningError ||
        (MicrosandboxError.is(error) && isLive(record.status) && !isLive((await sandbox.record()).status));
      if (!isOvertaken || turn === TURNS_MAX) throw error;
    }
  }
}

/** See `Sandbox.connectOrCreate()`. */
export async function connectOrCreate(
  backend: Backend,
  options: SandboxOptions,
  call: BootCallOptions = {},
): Promise<Obtained> {
  checkObject(options, "options");
  checkSandboxName(options.name);
  if (options.replace !== undefined && options.replace !== false)
    throw new InvalidConfigError([{ field: "replace", problem: "must not be set for connectOrCreate()" }]);
  for (let turn = 1; ; turn++) {
    try {
      const found = await backend.find(options.name);
      if (found === undefined)
        return { kind: "booted", boot: await backend.create(options, call, { applyPatches }) };
      const { network } = parseStoredConfig(found.record.configJson);
      const secrets = givenValues(secretsOf(network), options.network);
      const hooks = givenHooks(network, options.network);
      return await connectOrStart(found.sandbox, { ...call, detached: options.detached, secrets, hooks });
    } catch (error) {
      const isOvertaken =
        error instanceof SandboxAlreadyExistsError ||
        error instanceof SandboxNotFoundError ||
        error instanceof SandboxReplacedError;
      if (!isOvertaken || turn === TURNS_MAX) throw error;
    }
  }
}

/** Values that options give to secrets which a sandbox has. */
function givenValues(secrets: readonly StoredSecret[], network: SandboxOptions["network"]): SecretValues {
  const given =
    typeof network === "object" && network !== null && "secrets" in network ? (network.secrets ?? {}) : {};
  const values = secrets.flatMap(({ envVar }) => {
    const value = given[envVar]?.value;
    return value === undefined ? [] : [[envVar, value] as const];
  });
  return Object.fromEntries(values);
}

/** Hooks that options give to a sandbox that was created with some. */
function givenHooks(stored: StoredNetwork, network: SandboxOptions["network"]): HttpHooks | undefined {
  const isWanted = stored.mode === "user" && stored.hasHooks === true;
  if (!isWanted || typeof network !== "object" || network.mode === "none" || network.mode === "tap")
    return undefined;
  const { onRequest, onResponse } = network;
  return { ...(onRequest && { onRequest }), ...(onResponse && { onResponse }) };
}

/** Stops the sandbox if it runs, and boots it. */
export async function restart(sandbox: BackendSandbox, options: RestartOptions = {}): Promise<Boot> {
  const { network } = parseStoredConfig((await sandbox.record()).configJson);
  // Options that a start would refuse must not stop it.
  resolveSecrets(secretsOf(network), options.secrets ?? {}, process.env, "network.secrets");
  checkHooks(network, options.hooks);
  await end(sandbox, options);
  return await sandbox.start(options);
}

/** Stops the sandbox if it runs, and removes it. It also succeeds if another process does so first. */
export async function destroy(sandbox: BackendSandbox, options: DestroyOptions = {}): Promise<void> {
  await sandbox.record();
  try {
    await end(sandbox, options);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  await sandbox.removeIfThere();
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
export async function setTimeLimits(sandbox: BackendSandbox, changes: TimeLimitChanges): Promise<void> {
  const limits = parseConfig(limitsSchema, changes, "limits");
  const zeroIfNull = (limit: number | null | undefined) => (limit === null ? 0 : limit);
  await (await sandbox.connect()).setLimits({
    maxDurationMs: zeroIfNull(limits.maxDurationMs),
    idleTimeoutMs: zeroIfNull(limits.idleTimeoutMs),
  });
}

/** Has the sandbox refuse new programs and stop when those that run have ended. Resolves when that is in force. */
export async function requestDrain(sandbox: BackendSandbox): Promise<void> {
  const record = await sandbox.record();
  if (isLive(record.status)) await (await sandbox.connect()).drain();
}

async function end(
  sandbox: BackendSandbox,
  { force = false, timeoutMs = STOP_GRACE_MS }: EndOptions,
): Promise<void> {
  if (force) await sandbox.kill();
  else await sandbox.stop(timeoutMs);
}
