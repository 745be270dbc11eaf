/** Waits until something is true of sandboxes, whichever process changes it. @module */
import { AbortedError, InvalidConfigError, TimeoutError } from "../base/errors.ts";
import { checkTimeout } from "../options/sandbox_options.ts";
import {
  type BackendSandbox,
  type ChangeWatch,
  isSandboxStatus,
  LIVE_STATUSES,
  type SandboxRecord,
  type SandboxStatus,
  TRANSITIONS,
} from "./backend.ts";

/** Longest time between two looks: some changes are recorded by no process, such as the end of a killed host process. */
export const LOOK_INTERVAL_MS = 1_000;

/** How to wait. */
export interface WaitOptions {
  /** In milliseconds. @default without limit */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Repeats `look` after each change until it returns something.
 *
 * @param action What the caller does, as a gerund: `"waiting until web is running"`.
 * @throws {TimeoutError | AbortedError}
 */
export async function waitFor<T>(
  openWatch: () => ChangeWatch,
  action: string,
  look: () => Promise<T | undefined>,
  { timeoutMs, signal }: WaitOptions = {},
): Promise<T> {
  if (timeoutMs !== undefined) checkTimeout(timeoutMs);
  using watch = openWatch();
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

/** Statuses that a call can wait for; `created` and `starting` are the official SDK's, see below. */
export type WaitableStatus = SandboxStatus | "created" | "starting";

/**
 * Statuses that the official SDK has beside ours. Here they are over at once: a sandbox is created when its record exists,
 * and starting as soon as a boot has claimed it. So a wait for one that has passed ends.
 */
const PASSED_STATUSES = {
  created: Object.keys(TRANSITIONS).filter(isSandboxStatus),
  starting: LIVE_STATUSES,
} as const satisfies Readonly<Record<Exclude<WaitableStatus, SandboxStatus>, readonly SandboxStatus[]>>;

/** What of a sandbox a wait for its status needs. */
type Watched<Record> = Pick<BackendSandbox, "name" | "watchChanges"> & { record(): Promise<Record> };

/**
 * Resolves with the record once the sandbox has one of `statuses`. A status that is over between two looks is not seen.
 *
 * @throws {InvalidConfigError} if a status is unknown, since waiting for it would never end.
 */
export async function waitForStatus<Record extends Pick<SandboxRecord, "status">>(
  sandbox: Watched<Record>,
  statuses: readonly WaitableStatus[],
  options?: WaitOptions,
): Promise<Record> {
  const accepted = statuses.flatMap(statusesFor);
  const look = async () => {
    const record = await sandbox.record();
    return accepted.includes(record.status) ? record : undefined;
  };
  const action = `waiting until ${sandbox.name} is ${statuses.join(" or ")}`;
  return await waitFor(() => sandbox.watchChanges(), action, look, options);
}

function statusesFor(status: unknown): readonly SandboxStatus[] {
  if (isSandboxStatus(status)) return [status];
  if (status === "created" || status === "starting") return PASSED_STATUSES[status];
  const known = [...Object.keys(TRANSITIONS), ...Object.keys(PASSED_STATUSES)].join(", ");
  const problem = `must be one of ${known}: current value is ${JSON.stringify(status)}`;
  throw new InvalidConfigError([{ field: "status", problem }]);
}
