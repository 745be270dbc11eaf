/**
 * Names a process so that another one with the same pid is never mistaken for it.
 *
 * @module
 */
import { readFileSync, readlinkSync } from "node:fs";
import { errnoOf, IoError } from "../base/errors.ts";

/** A pid and when its process started. */
export interface ProcessIdentity {
  readonly pid: number;
  /**
   * Clock ticks from boot to the process's start (proc(5), `/proc/PID/stat` field 22); after a dot, which boot of the machine
   * that was; after another, the PID namespace in which the pid is meant. `""` where there is no /proc.
   */
  readonly startTime: string;
}

/**
 * Errors that mean that no process of ours has that pid: it is gone, or it belongs to a user whose processes are hidden
 * (proc(5), `hidepid`). `undefined` is Deno's refusal to read /proc without `--allow-all`. Other errors, such as `EMFILE`,
 * say nothing about the process.
 */
const NO_PROCESS: readonly (string | undefined)[] = ["ENOENT", "ESRCH", "EACCES", "EPERM", undefined];

/**
 * The identity of a running process; `undefined` if no process has that pid.
 *
 * @throws {IoError} if it cannot be told. Taking that for the end of the process would delete files that are in use.
 */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  if (process.platform !== "linux") return exists(pid) ? { pid, startTime: "" } : undefined;
  const entry = entryOf(pid);
  return entry === undefined || entry.isZombie ? undefined : entry.identity;
}

/** What the table of processes says of a pid. */
function entryOf(
  pid: number,
): { readonly identity: ProcessIdentity; readonly isZombie: boolean } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses, which may hold anything: count from the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const [state, startTime] = [fields[0], fields[19]];
    if (startTime === undefined) return undefined;
    const identity = { pid, startTime: `${startTime}.${machineBoot()}.${pidNamespace()}` };
    return { identity, isZombie: state === "Z" };
  } catch (error) {
    if (NO_PROCESS.includes(errnoOf(error))) return undefined;
    throw new IoError(`examine process ${pid}`, undefined, error);
  }
}

let boot: string | undefined;

/** The first digits of this boot's random id (random(4)). After a reboot, the same pid and ticks are another process. */
function machineBoot(): string {
  boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, 8);
  return boot;
}

let namespace: string | undefined;

/** The number of the PID namespace that this process sees (pid_namespaces(7)). */
function pidNamespace(): string {
  namespace ??= readlinkSync("/proc/self/ns/pid").replace(/\D/g, "");
  return namespace;
}

/** Of this boot of the machine, but in a PID namespace that is not this process's: here it cannot be told whether it runs. */
export function isElsewhere({ startTime }: ProcessIdentity): boolean {
  const [, bootOf, namespaceOf] = startTime.split(".");
  const [, ownBoot, ownNamespace] = ownProcess().startTime.split(".");
  return bootOf === ownBoot && namespaceOf !== undefined && namespaceOf !== ownNamespace;
}

/** This process. */
export function ownProcess(): ProcessIdentity {
  return identifyProcess(process.pid) ?? { pid: process.pid, startTime: "" };
}

/** Whether this same process still runs. A zombie does not. @throws {IoError} if it cannot be told. */
export function isSameProcess(identity: ProcessIdentity): boolean {
  return isSame(identifyProcess(identity.pid), identity);
}

function isSame(found: ProcessIdentity | undefined, { startTime }: ProcessIdentity): boolean {
  if (found === undefined || found.startTime === startTime) return found !== undefined;
  const [ticks, bootOf] = found.startTime.split(".");
  return startTime === `${ticks}.${bootOf}`; // an earlier release noted no namespace
}

/**
 * Whether this same process has come to its end, but still has its pid. Other threads of it may not be done then: until they
 * are, its locks are held. @throws {IoError} if it cannot be told.
 */
export function isZombie(identity: ProcessIdentity): boolean {
  if (process.platform !== "linux") return false;
  const entry = entryOf(identity.pid);
  return entry?.isZombie === true && isSame(entry.identity, identity);
}

/** Sends SIGKILL to this same process; does nothing if it is gone. */
export function killProcess(identity: ProcessIdentity): void {
  signalProcess(identity, "SIGKILL");
}

/** Sends a signal to this same process; does nothing if it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: "SIGTERM" | "SIGKILL"): void {
  if (!isSameProcess(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch {
    // gone in between
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
