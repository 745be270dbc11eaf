/**
 * Runs a Docker credential helper: the server's name goes to its standard input, JSON comes from its standard output.
 *
 * Source: docker-credential-helpers, "Development".
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { AbortedError, errnoOf } from "../../base/errors.ts";
import { identifyProcess, signalProcess } from "../../platform/process_identity.ts";
import { ImageAuthError } from "./errors.ts";

/** Longest time that a credential helper may take. */
export const HELPER_TIMEOUT_MS = 30_000;
/** Time between SIGTERM and SIGKILL for a helper that does not exit. */
export const HELPER_GRACE_MS = 2000;
/** Most output that is taken from a credential helper. */
export const HELPER_OUTPUT_BYTES_MAX = 64 * 1024;

/** How long a helper may take. */
export interface HelperLimits {
  /** @default {HELPER_TIMEOUT_MS} */
  readonly timeoutMs?: number | undefined;
  /** @default {HELPER_GRACE_MS} */
  readonly graceMs?: number | undefined;
}

export interface HelperRequest {
  /** Name of the program, which is looked up in the environment's `PATH`. */
  readonly program: string;
  /** What the helper calls the registry. */
  readonly server: string;
  /** What errors call the registry. */
  readonly registry: string;
  readonly environment: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
  readonly limits: HelperLimits | undefined;
}

/**
 * Asks a helper for credentials. Returns its output, or `undefined` if it has none for the server.
 *
 * The call ends when the helper exits, at the time limit plus the grace period, or as soon as the signal fires. It does
 * not wait for a process that the helper leaves behind with its output open.
 *
 * @throws {ImageAuthError} The helper is missing, failed, timed out, or wrote too much.
 * @throws {AbortedError}
 */
export function askCredentialHelper(request: HelperRequest): Promise<string | undefined> {
  const { program, server, registry, environment, signal, limits } = request;
  const { timeoutMs = HELPER_TIMEOUT_MS, graceMs = HELPER_GRACE_MS } = limits ?? {};
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(new AbortedError("pulling an image", signal.reason));
    const child = spawn(program, ["get"], { env: environment, stdio: ["pipe", "pipe", "ignore"] });
    const parts: Uint8Array[] = [];
    let sizeBytes = 0;
    // The helper's own words could hold a secret: errors tell its name alone.
    const failed = (problem: string): ImageAuthError =>
      new ImageAuthError(registry, `the credential helper ${program} ${problem}`);
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      settle();
    };
    const giveUp = (problem: string): void =>
      end(child, graceMs, () => finish(() => reject(failed(problem))));
    const onAbort = (): void => {
      end(child, graceMs, () => {});
      finish(() => reject(new AbortedError("pulling an image", signal?.reason)));
    };
    const timer = setTimeout(() => giveUp(`did not answer in ${timeoutMs} ms`), timeoutMs);
    signal?.addEventListener("abort", onAbort, { once: true });
    child.stdin.on("error", () => {}); // it exited without reading: its exit status says why
    child.stdin.end(server);
    child.stdout.on("data", (part: Uint8Array) => {
      sizeBytes += part.length;
      if (sizeBytes <= HELPER_OUTPUT_BYTES_MAX) parts.push(part);
      else giveUp(`wrote more than ${HELPER_OUTPUT_BYTES_MAX} bytes`);
    });
    child.once("error", (error) => {
      finish(() => reject(failed(errnoOf(error) === "ENOENT" ? "is not installed" : "failed")));
    });
    child.once("close", (status) => {
      const output = Buffer.concat(parts).toString();
      if (status === 0) return finish(() => resolve(output));
      if (/credentials not found/i.test(output)) return finish(() => resolve(undefined));
      finish(() => reject(failed("failed")));
    });
  });
}

/**
 * Ends a process by SIGTERM, and by SIGKILL after the grace period; `onEnded` is called in either case. The signals go by
 * process id, since Deno's `ChildProcess.kill()` sends only one signal in its life.
 */
function end(child: ChildProcess, graceMs: number, onEnded: () => void): void {
  child.stdout?.removeAllListeners("data").destroy(); // a process that the helper started may keep it open
  const process = child.pid === undefined ? undefined : identifyProcess(child.pid);
  const send = (name: "SIGTERM" | "SIGKILL") => process !== undefined && signalProcess(process, name);
  const kill = setTimeout(() => {
    send("SIGKILL");
    onEnded();
  }, graceMs);
  child.once("exit", () => {
    clearTimeout(kill);
    onEnded();
  });
  send("SIGTERM");
}
