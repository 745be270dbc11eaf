/**
 * A pool of booted sandboxes, so that a claim takes milliseconds.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { z } from "zod";
import { isGone } from "../../backend/backend.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { TIMER_MS_MAX } from "../../base/wait.ts";
import { parseSandboxOptions, type SandboxOptions } from "../../options/sandbox_options.ts";
import type { TimeLimitChanges } from "../lifecycle.ts";
import { Sandbox } from "../sandbox.ts";
import { type ClaimOptions, WarmPool } from "./warm_pool.ts";

/** Options of a {@linkcode SandboxPool}. */
export interface SandboxPoolOptions {
  /**
   * Options of all its sandboxes. Their time limits count from the claim. A sandbox is removed when it ends, unless
   * `ephemeral` is false.
   */
  readonly spec: Omit<SandboxOptions, "name" | "detached" | "replace">;
  /** How many sandboxes are kept ready, 1 to 256. */
  readonly size: number;
  /** How many sandboxes boot at the same time, 1 to 64. @default {2} */
  readonly bootsMax?: number | undefined;
  /** The beginning of their names, up to 64 letters, digits, `.`, `_` and `-`. @default {"pool"} */
  readonly namePrefix?: string | undefined;
  /** Milliseconds between two health checks of the sandboxes that are ready, at least 100. @default {10_000} */
  readonly checkIntervalMs?: number | undefined;
}

/** How long an idle sandbox may take to answer a health check. */
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
 * Keeps sandboxes of one kind booted, so that a claim takes milliseconds. A claimed sandbox is the caller's, and a new one
 * boots in its place; so does one for a sandbox that no longer answers. All of them end with this process.
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

  /** Starts to boot sandboxes. @throws {InvalidConfigError} `invalidConfig`, naming the options that are wrong. */
  constructor(options: SandboxPoolOptions) {
    const { size, bootsMax, namePrefix, checkIntervalMs } = parseConfig(schema, options, "options");
    const { maxDurationMs, idleTimeoutMs, ...spec } = options.spec;
    const next = (): SandboxOptions => ({ ephemeral: true, ...spec, name: `${namePrefix}-${randomUUID()}` });
    parseSandboxOptions({ ...next(), maxDurationMs, idleTimeoutMs }); // refuses here what no boot could use
    this.#limits = { maxDurationMs, idleTimeoutMs };
    this.#pool = new WarmPool(
      {
        make: (signal, discard) => bootConnected(next(), signal, discard),
        isHealthy: (sandbox) => sandbox.checkHealth(HEALTH_TIMEOUT_MS),
        discard: endIfThere,
      },
      { noun: "sandbox", size, makesMax: bootsMax, checkIntervalMs },
    );
  }

  /** How many sandboxes are ready to be claimed. */
  get available(): number {
    return this.#pool.available;
  }

  /** Why the last boot failed; `undefined` if it succeeded. */
  get lastError(): unknown {
    return this.#pool.lastError;
  }

  /** Names of sandboxes that the pool could not end in several tries, and that may still run. Normally empty. */
  get orphans(): readonly string[] {
    return this.#pool.orphans.map(({ name }) => name);
  }

  /**
   * Takes a sandbox that has just answered; waits for a boot if none is ready. The caller has to stop it.
   *
   * @throws {InvalidConfigError} `invalidConfig`, naming the options that are wrong.
   * @throws {TimeoutError} `timeout`, if no sandbox is ready in time.
   * @throws {AbortedError} `aborted`, if the signal fires first, or the pool is closed.
   * @throws {BootStartError} or whatever else made the next boot fail.
   */
  async claim(options: ClaimOptions = {}): Promise<Sandbox> {
    const sandbox = await this.#pool.claim(options);
    const { maxDurationMs, idleTimeoutMs } = this.#limits;
    if (maxDurationMs !== undefined || idleTimeoutMs !== undefined)
      await limitOrDiscard(sandbox, this.#limits, (unusable) => this.#pool.discard(unusable));
    return sandbox;
  }

  /** Same as {@linkcode close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /**
   * Ends the sandboxes that were not claimed, and rejects the claims that wait. Claimed sandboxes run on.
   *
   * @throws the reason, if a sandbox could not be ended in several tries: see {@linkcode orphans}.
   */
  async close(): Promise<void> {
    await this.#pool.close();
  }
}

/** Ends a sandbox; one that is gone, because its VM host process was killed, has ended already. */
async function endIfThere(sandbox: Sandbox): Promise<void> {
  try {
    await sandbox.destroy({ force: true });
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Boots a sandbox and connects to it, so that a claim need not. */
async function bootConnected(
  options: SandboxOptions,
  signal: AbortSignal,
  discard: (sandbox: Sandbox) => void,
): Promise<Sandbox> {
  const sandbox = await Sandbox.create(options, { signal });
  try {
    await sandbox.ping();
    return sandbox;
  } catch (error) {
    discard(sandbox);
    throw error;
  }
}

/** Sets the time limits of a sandbox that was claimed. Discards one that does not take them, since no caller has it. */
export async function limitOrDiscard<T extends Pick<Sandbox, "setTimeLimits">>(
  sandbox: T,
  limits: TimeLimitChanges,
  discard: (sandbox: T) => void,
): Promise<void> {
  try {
    await sandbox.setTimeLimits(limits);
  } catch (error) {
    discard(sandbox);
    throw error;
  }
}
