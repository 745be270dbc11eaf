/**
 * Starts a VM host process and waits until the guest of its VM answers. What this returns is all that the user's process
 * knows about a running VM.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { AgentDisconnectedError } from "../../agent/errors.ts";
import {
  AbortedError,
  InternalError,
  IoError,
  MicrosandboxError,
  type MicrosandboxErrorOptions,
  TimeoutError,
} from "../../base/errors.ts";
import { CallLimit, settlesWithin, TIMER_MS_MAX } from "../../base/wait.ts";
import { PortInUseError } from "../../network/errors.ts";
import { packagedFile } from "../../platform/asset.ts";
import { LineChild } from "../../platform/child.ts";
import { runtimeCommand, runtimeEnvironment } from "../../platform/runtime.ts";
import { SandboxAlreadyExistsError, SandboxStillRunningError } from "../../state/errors.ts";
import type { BootKey } from "../../state/state_store.ts";
import type { EngineStart } from "../engine/engine.ts";
import { BootStartError, DiskInUseError } from "../errors.ts";
import {
  type BootRequest,
  type BootStep,
  type ClaimRequest,
  type GuestTimes,
  type HostReport,
  parseLine,
} from "../host_protocol.ts";
import { createRunDirectory } from "../run_directory/create_and_sweep.ts";
import { RunFile, removeRunDirectory } from "../run_directory/run_directory.ts";
import { spoolTail } from "../run_directory/spool.ts";
import { watchHostExit } from "./host_exits.ts";

/** How long an aborted or failed host process may take to clean up. A later sweep removes what it leaves. */
const EXIT_TIMEOUT_MS = 2_000;
/** What a host process may take beyond `bootTimeoutMs`, which it watches itself: to start, and to report a failure. */
const HOST_SLACK_MS = 5_000;

export interface LaunchOptions {
  /** For messages. */
  readonly name: string;
  readonly claim: Omit<ClaimRequest, "type" | "runDirectory">;
  /** What the engine may load while the name is being claimed. */
  readonly engineStart: EngineStart;
  /** As in the request to boot. A host process that is silent for a little longer than this counts as hanging. */
  readonly bootTimeoutMs: number;
  /** Called once the name is ours: puts the disks in place and returns what to boot. */
  readonly prepare: (key: BootKey) => Promise<Omit<BootRequest, "type">>;
  /** Called if the boot request asks for it: works on the guest's files through the host process that listens at `path`. */
  readonly prepareGuest?: ((path: string) => Promise<void>) | undefined;
  /** Aborting ends the VM; nothing of this boot is left. */
  readonly signal?: AbortSignal | undefined;
  /** Called at each step; `atMs` counts from the start of the host process. */
  readonly onStep?: ((step: BootStep, atMs: number) => void) | undefined;
}

/** A VM whose guest answers. */
export interface LaunchedVm {
  readonly key: BootKey;
  readonly runDirectory: string;
  readonly guest: GuestTimes;
  /** Keeps the VM running when this process ends. */
  detach(): void;
}

/**
 * @throws {SandboxAlreadyExistsError} if another process took the name first.
 * @throws {SandboxStillRunningError} if the sandbox to start is running.
 * @throws {PortInUseError} if a port to publish is taken.
 * @throws {DiskInUseError} if another VM has a disk of this one.
 * @throws {BootStartError} if the VM does not come up.
 * @throws {AbortedError} if `signal` fired.
 */
export async function launchVm(options: LaunchOptions): Promise<LaunchedVm> {
  if (options.signal?.aborted) throw new AbortedError(`booting ${options.name}`, options.signal.reason);
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

async function spawnHost(runDirectory: string, { claim, engineStart }: LaunchOptions): Promise<LineChild> {
  const start = packagedFile(new URL("../host/start.ts", import.meta.url), "src/vmm/host/start.ts");
  const { file, args } = runtimeCommand(start);
  const path = join(runDirectory, RunFile.diagnostics);
  const stderr = openDiagnostics(path);
  try {
    // A new directory of ours: Bun runs what the bunfig.toml of the working directory preloads.
    return await LineChild.spawn({
      file,
      args: [...args, claim.engine, engineStart.enginePath, engineStart.libkrunfwPath],
      env: runtimeEnvironment(),
      cwd: runDirectory,
      stderr,
    });
  } finally {
    closeSync(stderr);
  }
}

/** Sends the host process what to claim and what to boot, and waits until the guest answers. */
async function converse(child: LineChild, runDirectory: string, options: LaunchOptions): Promise<LaunchedVm> {
  const progress: Progress = { step: "claim" };
  using claiming = limitOf(runDirectory, options, progress);
  child.send({ type: "claim", ...options.claim, runDirectory } satisfies ClaimRequest);
  const answer = await nextReport(child, runDirectory, options.name, progress, claiming);
  if (answer.type === "refused") throw refusal(options.name, answer.reason);
  if (answer.type !== "claimed") throw new InternalError(`Unexpected answer to a claim: ${answer.type}`);

  child.send({ type: "boot", ...(await options.prepare(answer.key)) } satisfies BootRequest);
  let report = await nextStop(child, runDirectory, options, progress);
  if (report.type === "preparing") {
    await prepareGuest(child, runDirectory, options, progress);
    child.send({ type: "prepared" });
    report = await nextStop(child, runDirectory, options, progress);
  }
  if (report.type !== "ready") throw new InternalError(`Unexpected report of a boot: ${report.type}`);
  child.release();
  watchHostExit(runDirectory, child.exited);
  const detach = () => {
    child.send({ type: "detach" });
    child.endInput();
  };
  return { key: answer.key, runDirectory, guest: report.guest, detach };
}

/** The next report that is not a step of the boot. */
async function nextStop(
  child: LineChild,
  runDirectory: string,
  options: LaunchOptions,
  progress: Progress,
): Promise<HostReport> {
  using limit = limitOf(runDirectory, options, progress);
  for (;;) {
    const report = await nextReport(child, runDirectory, options.name, progress, limit);
    if (report.type !== "step") return report;
    progress.step = report.step;
    options.onStep?.(report.step, report.atMs);
  }
}

async function prepareGuest(
  child: LineChild,
  runDirectory: string,
  options: LaunchOptions,
  progress: Progress,
): Promise<void> {
  try {
    await options.prepareGuest?.(join(runDirectory, RunFile.prepare));
  } catch (error) {
    // The end of the connection says less than the host process does.
    if (isDisconnection(error)) await nextStop(child, runDirectory, options, progress);
    throw error;
  }
}

function isDisconnection(error: unknown): boolean {
  let cause = error;
  while (cause instanceof Error && !(cause instanceof AgentDisconnectedError)) cause = cause.cause;
  return cause instanceof AgentDisconnectedError;
}

/** How far a boot has got. */
interface Progress {
  step: BootStep;
}

/** How long to wait for reports. This is for a host process that hangs; it reports a boot that hangs itself. */
function limitOf(
  runDirectory: string,
  { name, bootTimeoutMs, signal }: LaunchOptions,
  progress: Progress,
): CallLimit {
  const late = (limitMs: number) => {
    const cause = new TimeoutError("waiting for the VM host process to answer", limitMs);
    return bootError(name, progress.step, cause.summary, runDirectory, { cause });
  };
  return new CallLimit({
    action: `booting ${name}`,
    timeoutMs: Math.min(bootTimeoutMs + HOST_SLACK_MS, TIMER_MS_MAX),
    signal,
    late,
  });
}

/** The next report. Throws if it is about a failure, with the last lines of the guest's console. */
async function nextReport(
  child: LineChild,
  runDirectory: string,
  name: string,
  progress: Progress,
  limit: CallLimit,
): Promise<HostReport> {
  const line = await limit.race(child.nextLine());
  if (line === undefined) {
    const { code, signal } = await limit.race(child.exited);
    // libkrun ends the process along with the guest, with status 0 and no report. We end it with another status.
    const reason = code === 0 ? "the VM ended" : `the VM host process ended (${signal ?? `status ${code}`})`;
    throw bootError(name, progress.step, reason, runDirectory);
  }
  const report = parseLine<HostReport>(line, ["claimed", "refused", "step", "preparing", "ready", "failed"]);
  if (report.type === "failed") {
    const { code, message, hint, portInUse, diskInUse } = report;
    if (portInUse !== undefined) throw new PortInUseError(portInUse);
    if (diskInUse !== undefined) throw new DiskInUseError(diskInUse);
    const cause = code === undefined ? undefined : new MicrosandboxError(code, message);
    throw bootError(name, report.step, message, runDirectory, { cause, hint });
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
  if (!(await settlesWithin(child.exited, EXIT_TIMEOUT_MS))) child.kill();
  await child.exited;
}

function openDiagnostics(path: string): number {
  try {
    return openSync(path, "a", 0o600);
  } catch (error) {
    throw new IoError(`open ${path}`, path, error);
  }
}
