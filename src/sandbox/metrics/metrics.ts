/**
 * What running sandboxes use, at one moment.
 *
 * @module
 */
import { AgentDisconnectedError, AgentHandshakeError, ProtocolError } from "../../agent/errors.ts";
import { Measured, type MessageFields } from "../../agent/protocol.ts";
import { type BackendSandbox, isGone, SandboxNotRunningError } from "../../backend/backend.ts";
import { defaultBackend } from "../../backend/default_backend.ts";
import { TimeoutError } from "../../base/errors.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { MetricsUnavailableError } from "../errors.ts";
import { askSandbox } from "./ask.ts";

/** For how long a single measurement looks at the processors, in milliseconds. */
export const CPU_WINDOW_MS = 100;
/** Sandboxes that are measured at a time: each is a connection. */
const MEASURED_AT_ONCE_MAX = 32;

/** Errors of a sandbox, or of the process that hosts it, that does not answer as it should. */
const UNANSWERED = [
  MetricsUnavailableError,
  TimeoutError,
  AgentDisconnectedError,
  AgentHandshakeError,
  ProtocolError,
] as const;

/**
 * What a sandbox uses. Memory, disk and network are what the guest's kernel says, so that a guest which its programs have taken
 * over can say anything within its limits. Processor time, `memoryHostResidentBytes` and `upperHostAllocatedBytes` are
 * what the host sees, and so is the network of mode `tap`.
 */
export interface SandboxMetrics {
  /**
   * How busy the virtual processors were, in percent of one of them: 200 is two busy ones. Over the time since the sample
   * before it in a stream, else over 100 ms.
   */
  readonly cpuPercent: number;
  /** For how long the virtual processors have run on those of the host since the boot, all together, in nanoseconds. */
  readonly vcpuTimeNs: number;
  /** Memory that the guest cannot do without, in bytes: caches that it would give back do not count. */
  readonly memoryBytes: number;
  /** Memory that programs in the guest can still get, in bytes. */
  readonly memoryAvailableBytes: number | null;
  /**
   * Memory of the host that the sandbox's processes have, in bytes: what the guest has ever touched, and some 50 MiB of
   * the process that hosts it. `null` if the host does not say.
   */
  readonly memoryHostResidentBytes: number | null;
  /** The memory that the sandbox was given, in bytes. */
  readonly memoryLimitBytes: number;
  /** Bytes read from the sandbox's disks since the boot, those of the image included. */
  readonly diskReadBytes: number;
  /** Bytes written to the sandbox's disks since the boot. Programs write to memory first; it reaches the disk within seconds. */
  readonly diskWriteBytes: number;
  /** Bytes that came in by the network device since the boot; `fetch()`, `connect()` and published ports do not use it. */
  readonly netRxBytes: number;
  /** Bytes that went out by the network device since the boot. */
  readonly netTxBytes: number;
  /** Space in use on the writable disk, in bytes; `null` if there is none. */
  readonly upperUsedBytes: number | null;
  /** Space that is free on the writable disk, in bytes; `null` if there is none. */
  readonly upperFreeBytes: number | null;
  /** What the writable disk takes on the host, in bytes; `null` if there is none. */
  readonly upperHostAllocatedBytes: number | null;
  /** Milliseconds since the guest's agent first answered. */
  readonly uptimeMs: number;
  /** When this was measured, by the host's clock. */
  readonly timestamp: Date;
}

/** What was measured once, before it is compared with what was measured earlier. */
export interface Reading extends MessageFields<"measured"> {
  /** Which boot of the sandbox this is about: its counters begin at 0. */
  readonly bootNumber: number;
}

/**
 * Reads the sandbox's numbers.
 *
 * @throws {SandboxNotRunningError}
 * @throws {MetricsUnavailableError} if the guest does not answer, or the host does not say.
 */
export function readMetrics(sandbox: BackendSandbox): Promise<Reading> {
  return askSandbox(sandbox, async (client) => {
    const fields = await client.measure();
    if (fields.errno !== 0) throw new MetricsUnavailableError(sandbox.name, fields.message, fields.errno);
    return { ...fields, bootNumber: client.bootNumber };
  });
}

/** One measurement. Takes {@linkcode CPU_WINDOW_MS}. */
export async function measureOnce(sandbox: BackendSandbox): Promise<SandboxMetrics> {
  const first = await readMetrics(sandbox);
  await new Promise((resolve) => setTimeout(resolve, CPU_WINDOW_MS));
  return compare(first, await readMetrics(sandbox));
}

/** The metrics of `now`, with the processors' use since `before`; 0 if that was another boot. */
export function compare(before: Reading, now: Reading): SandboxMetrics {
  const known = <T>(bit: number, value: T) => ((now.known & bit) === 0 ? null : value);
  return {
    cpuPercent: cpuPercent(before, now),
    vcpuTimeNs: now.vcpuMicros * 1000,
    memoryBytes: now.memoryBytes,
    memoryAvailableBytes: now.memoryAvailableBytes,
    memoryHostResidentBytes: known(Measured.hostResident, now.memoryHostResidentBytes),
    memoryLimitBytes: now.memoryLimitBytes,
    diskReadBytes: now.diskReadBytes,
    diskWriteBytes: now.diskWriteBytes,
    netRxBytes: now.netRxBytes,
    netTxBytes: now.netTxBytes,
    upperUsedBytes: known(Measured.upper, now.upperUsedBytes),
    upperFreeBytes: known(Measured.upper, now.upperFreeBytes),
    upperHostAllocatedBytes: known(Measured.upperHostAllocated, now.upperHostAllocatedBytes),
    uptimeMs: Math.floor(now.uptimeMicros / 1000),
    timestamp: new Date(now.timestampMs),
  };
}

/** The host reads counter and clock one after the other, and may lose its processor in between: no more than all of them. */
function cpuPercent(before: Reading, now: Reading): number {
  const elapsedMicros = now.uptimeMicros - before.uptimeMicros;
  if (before.bootNumber !== now.bootNumber || elapsedMicros <= 0) return 0;
  const percent = ((now.vcpuMicros - before.vcpuMicros) / elapsedMicros) * 100;
  return Math.min(Math.max(percent, 0), now.cpus * 100);
}

/**
 * Measures all sandboxes of this home that run, by name. One that ends before it is measured is left out, and so is one that
 * does not answer: its own `metrics()` says why.
 *
 * @example
 * ```ts with web
 * for (const [name, { cpuPercent, memoryBytes }] of Object.entries(await allSandboxMetrics()))
 *   console.log(name, `${cpuPercent.toFixed(1)} %`, `${Math.round(memoryBytes / 2 ** 20)} MiB`);
 * ```
 */
export async function allSandboxMetrics(): Promise<Record<string, SandboxMetrics>> {
  const { found } = await defaultBackend().list({ statuses: ["running", "paused", "draining"] });
  const places = new Semaphore(MEASURED_AT_ONCE_MAX);
  const measured = await Promise.all(
    found.map(({ sandbox }) => places.run(() => measureIfPossible(sandbox))),
  );
  return Object.fromEntries(
    found.flatMap(({ sandbox }, index) => {
      const metrics = measured[index];
      return metrics === undefined ? [] : [[sandbox.name, metrics]];
    }),
  );
}

/** A sandbox that cannot be measured must not hide the others. */
async function measureIfPossible(sandbox: BackendSandbox): Promise<SandboxMetrics | undefined> {
  try {
    return await measureOnce(sandbox);
  } catch (error) {
    if (isEnd(error) || UNANSWERED.some((type) => error instanceof type)) return undefined;
    throw error;
  }
}

/** Whether a measurement failed because the sandbox has ended. */
export function isEnd(error: unknown): boolean {
  return error instanceof SandboxNotRunningError || isGone(error);
}
