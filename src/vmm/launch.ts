/**
 * Starts a VM host process and sees its VM through to the moment when the guest answers. All that the user's process
 * knows of a running VM is what comes back from here.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import {
  AbortedError,
  InternalError,
  IoError,
  MicrosandboxError,
  type MicrosandboxErrorOptions,
} from "../base/errors.ts";
import type { LibkrunOptions } from "../ffi/libkrun.ts";
import { PortInUseError } from "../network/errors.ts";
import { LineChild } from "../platform/child.ts";
import { runtimeCommand, runtimeEnvironment } from "../platform/runtime.ts";
import { SandboxAlreadyExistsError, SandboxStillRunningError } from "../registry/errors.ts";
import type { BootKey } from "../registry/registry.ts";
import {
  type BootRequest,
  type BootStep,
  type ClaimRequest,
  type GuestTimes,
  type HostReport,
  parseLine,
} from "./config.ts";
import { BootStartError } from "./errors.ts";
import { createRunDirectory } from "./run_directories.ts";
import { RunFile, removeRunDirectory } from "./run_directory.ts";
import { spoolTail } from "./spool.ts";

/** How long an aborted or failed host process may take to clean up after itself. */
const EXIT_TIMEOUT_MS = 10_000;

export interface LaunchOptions {
  /** For messages. */
  readonly name: string;
  readonly claim: Omit<ClaimRequest, "type" | "runDirectory">;
  /** What krun loads, which it does while the name is being claimed. */
  readonly libraries: LibkrunOptions;
  /** Called once the name is ours: puts the disks in place and says what to boot. */
  readonly prepare: (key: BootKey) => Promise<Omit<BootRequest, "type">>;
  /** Aborting ends the VM; nothing of this boot is left. */
  readonly signal?: AbortSignal | undefined;
  /** Told of each step that is reached; `atMs` counts from the start of the host process. */
  readonly onStep?: ((step: BootStep, atMs: number) => void) | undefined;
}

/** A VM whose guest answers. */
export interface LaunchedVm {
  readonly key: BootKey;
  readonly runDirectory: string;
  readonly guest: GuestTimes;
  /** Lets the VM go on when this process ends. */
  detach(): void;
}

/**
 * @throws {SandboxAlreadyExistsError} if the name was taken in the meantime.
 * @throws {SandboxStillRunningError} if the sandbox to start does run.
 * @throws {PortInUseError} if a port that it is to publish is taken.
 * @throws {BootStartError} if the VM does not come up.
 * @throws {AbortedError} if `signal` fired.
 */
export async function launchVm(options: LaunchOptions): Promise<LaunchedVm> {
  if (options.signal?.aborted) throw new AbortedError("boot", options.signal.reason);
  const runDirectory = createRunDirectory(options.claim.home);
  let child: LineChild | undefined;
  try {
    child = await spawnHost(runDirectory, options);
    return await converse(child, runDirectory, options);
  } catch (error) {
    if (child !== undefined) await endHost(child);
    removeRunDirectory(runDirectory);
    throw error;
  }
}

async function spawnHost(runDirectory: string, { claim, libraries }: LaunchOptions): Promise<LineChild> {
  const { file, args } = runtimeCommand(new URL("./start.ts", import.meta.url));
  const { libkrunPath = "", libkrunfwPath = "" } = libraries;
  const path = join(runDirectory, RunFile.diagnostics);
  const stderr = openDiagnostics(path);
  try {
    // The working directory is ours: a bunfig.toml or .env of the caller's is not for this process.
    return await LineChild.spawn({
      file,
      args: [...args, claim.engine, libkrunPath, libkrunfwPath],
      env: runtimeEnvironment(),
      cwd: claim.home,
      stderr,
    });
  } finally {
    closeSync(stderr);
  }
}

/** Tells the host process what to be and what to boot, and waits until the guest answers. */
async function converse(child: LineChild, runDirectory: string, options: LaunchOptions): Promise<LaunchedVm> {
  const progress = { step: "claim" as BootStep };
  const next = () => nextReport(child, runDirectory, options, progress);
  const { claim } = options;
  child.send({ type: "claim", ...claim, runDirectory } satisfies ClaimRequest);
  const answer = await next();
  if (answer.type === "refused") throw refusal(options.name, answer.reason);
  if (answer.type !== "claimed") throw new InternalError(`Unexpected answer to a claim: ${answer.type}`);

  child.send({ type: "boot", ...(await options.prepare(answer.key)) } satisfies BootRequest);
  for (;;) {
    const report = await next();
    if (report.type === "ready") {
      child.release();
      const detach = () => {
        child.send({ type: "detach" });
        child.endInput();
      };
      return { key: answer.key, runDirectory, guest: report.guest, detach };
    }
    if (report.type === "step") {
      progress.step = report.step;
      options.onStep?.(report.step, report.atMs);
    }
  }
}

/** The next report that is not bad news; bad news are thrown, with the last words of the guest's kernel. */
async function nextReport(
  child: LineChild,
  runDirectory: string,
  options: LaunchOptions,
  progress: { readonly step: BootStep },
): Promise<HostReport> {
  const line = await orAborted(child.nextLine(), options.signal);
  if (line === undefined) {
    const { code, signal } = await child.exited;
    throw bootError(
      options.name,
      progress.step,
      `the VM host process ended (${signal ?? `status ${code}`})`,
      runDirectory,
    );
  }
  const report = parseLine<HostReport>(line, ["claimed", "refused", "step", "ready", "failed"]);
  if (report.type === "failed") {
    const { code, message, hint, portInUse } = report;
    if (portInUse !== undefined) throw new PortInUseError(portInUse);
    const cause = code === undefined ? undefined : new MicrosandboxError(code, message);
    throw bootError(options.name, report.step, message, runDirectory, { cause, hint });
  }
  return report;
}

function bootError(
  name: string,
  step: BootStep,
  reason: string,
  runDirectory: string,
  options?: MicrosandboxErrorOptions,
): BootStartError {
  const tails = {
    console: spoolTail(join(runDirectory, RunFile.console)),
    diagnostics: spoolTail(join(runDirectory, RunFile.diagnostics)),
  };
  return new BootStartError(name, step, reason, tails, options);
}

function refusal(name: string, reason: "exists" | "notStartable"): Error {
  return reason === "exists"
    ? new SandboxAlreadyExistsError(name)
    : new SandboxStillRunningError(name, "start");
}

/** The host process ends by itself when its input does; if it does not, it is killed. */
async function endHost(child: LineChild): Promise<void> {
  child.endInput();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      child.kill();
      resolve();
    }, EXIT_TIMEOUT_MS);
  });
  await Promise.race([child.exited, late]);
  clearTimeout(timer);
  await child.exited;
}

async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await promise;
  // Not left to the race: a line that is there already would win it.
  if (signal.aborted) throw new AbortedError("boot", signal.reason);
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(new AbortedError("boot", signal.reason));
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function openDiagnostics(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (error) {
    throw new IoError(`open ${path}`, path, error);
  }
}
