/**
 * Sandboxes that have booted before anybody needs them.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { parseConfig } from "../../base/parse_config.ts";
import { TIMER_MS_MAX } from "../../base/wait.ts";
import { parseSandboxOptions, type SandboxOptions } from "../../options/sandbox_options.ts";
import type { TimeLimitChanges } from "../lifecycle.ts";
import { Sandbox } from "../sandbox.ts";
import { type ClaimOptions, WarmPool } from "./warm_pool.ts";

/** Options of a `SandboxPool`. */
export interface SandboxPoolOptions {
  /**
   * What all of its sandboxes are. Time limits count from the claim. Unless `ephemeral` is false, a sandbox is removed
   * when it ends.
   */
  readonly spec: Omit<SandboxOptions, "name" | "detached" | "replace">;
  /** Sandboxes that are kept ready, 1 to 256. */
  readonly size: number;
  /** Sandboxes that boot at the same time, 1 to 64. @default {2} */
  readonly bootsMax?: number | undefined;
  /** What their names begin with. @default {"pool"} */
  readonly namePrefix?: string | undefined;
  /** How often those that wait are asked for a sign of life, in milliseconds; from 100. @default {10_000} */
  readonly checkIntervalMs?: number | undefined;
}

/** What a sandbox that nobody uses may take to answer. */
const HEALTH_TIMEOUT_MS = 2_000;

const schema = z.strictObject({
  spec: z.looseObject({}),
  size: z.int().min(1).max(256),
  bootsMax: z.int().min(1).max(64).default(2),
  namePrefix: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "must be up to 64 letters, digits, `.`, `_` and `-`")
    .default("pool"),
  checkIntervalMs: z.int().min(100).max(TIMER_MS_MAX).default(10_000),
});

/**
 * Keeps sandboxes of one kind booted, so that a claim takes milliseconds. What was claimed is the caller's, and is
 * replaced by a new one; what does not answer any more is, too. The sandboxes end with this process.
 *
 * @example
 * ```ts
 * await using pool = new SandboxPool({ spec: { image: "alpine", memoryMiB: 256 }, size: 4 });
 * await using sandbox = await pool.claim();
 * console.log((await sandbox.exec("uname")).stdout());
 * ```
 */
export class SandboxPool implements AsyncDisposable {
  readonly #pool: WarmPool<Sandbox>;
  readonly #limits: Pick<SandboxOptions, "maxDurationMs" | "idleTimeoutMs">;

  /** Starts to boot sandboxes. @throws {InvalidConfigError} */
  constructor(options: SandboxPoolOptions) {
    const { size, bootsMax, namePrefix, checkIntervalMs } = parseConfig(schema, options, "options");
    const { maxDurationMs, idleTimeoutMs, ...spec } = options.spec;
    const next = (): SandboxOptions => ({ ephemeral: true, ...spec, name: `${namePrefix}-${randomUUID()}` });
    parseSandboxOptions({ ...next(), maxDurationMs, idleTimeoutMs }); // refuses here what no boot could use
    this.#limits = { maxDurationMs, idleTimeoutMs };
    this.#pool = new WarmPool(
      {
        make: (signal) => bootConnected(next(), signal),
        isHealthy: (sandbox) => sandbox.checkHealth(HEALTH_TIMEOUT_MS),
        discard: (sandbox) => sandbox.destroy({ force: true }),
      },
      { size, makesMax: bootsMax, checkIntervalMs },
    );
  }

  /** Sandboxes that are ready to be claimed. */
  get available(): number {
    return this.#pool.available;
  }

  /** Why the last boot failed; `undefined` if it did not. */
  get lastError(): unknown {
    return this.#pool.lastError;
  }

  /**
   * A sandbox that has just answered; waits for a boot if none is ready. It is the caller's to stop.
   *
   * @throws {InvalidConfigError}
   * @throws what kept the next one from booting.
   * @throws {TimeoutError} after `timeoutMs`.
   * @throws {AbortedError} if `signal` fired, or the pool was closed.
   */
  async claim(options: ClaimOptions = {}): Promise<Sandbox> {
    const sandbox = await this.#pool.claim(options);
    const { maxDurationMs, idleTimeoutMs } = this.#limits;
    if (maxDurationMs !== undefined || idleTimeoutMs !== undefined) await limitOrEnd(sandbox, this.#limits);
    return sandbox;
  }

  /** Ends those that nobody has claimed; those that were claimed go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Ends those that nobody has claimed; those that were claimed go on. */
  async close(): Promise<void> {
    await this.#pool.close();
  }
}

/** Boots a sandbox and connects to it, so that a claim need not. */
async function bootConnected(options: SandboxOptions, signal: AbortSignal): Promise<Sandbox> {
  const sandbox = await Sandbox.create(options, { signal });
  try {
    await sandbox.ping();
    return sandbox;
  } catch (error) {
    await sandbox.destroy({ force: true });
    throw error;
  }
}

/** Sets limits. A sandbox that does not take them is nobody's, and is ended. */
export async function limitOrEnd(
  sandbox: Pick<Sandbox, "setTimeLimits" | "destroy">,
  limits: TimeLimitChanges,
): Promise<void> {
  try {
    await sandbox.setTimeLimits(limits);
  } catch (error) {
    await sandbox.destroy({ force: true }).catch(() => {}); // what kept the limits away says more
    throw error;
  }
}
