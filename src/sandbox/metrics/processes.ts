/**
 * The programs that run in a sandbox.
 *
 * @module
 */
import { ProtocolError } from "../../agent/errors.ts";
import type { BackendSandbox } from "../../backend/backend.ts";
import { MetricsUnavailableError } from "../errors.ts";
import { askSandbox } from "./ask.ts";

/** A program that runs in a sandbox. All of this is the guest's word. */
export interface SandboxProcess {
  /** Its number in the guest. */
  readonly pid: number;
  /** That of the process that it belongs to; 1 is the guest's agent. */
  readonly parentPid: number;
  /** The number of the user that it runs as. */
  readonly uid: number;
  /** The name of that user in the guest's `/etc/passwd`; `undefined` if it has none. */
  readonly user: string | undefined;
  /** What it does, as a letter of proc(5): `R` runs, `S` sleeps, `D` waits for a disk, `T` is stopped, `Z` has ended. */
  readonly state: string;
  /** Processor time that it has used, in milliseconds. */
  readonly cpuTimeMs: number;
  /** Memory that it has, in bytes; what it shares with others is counted for each. */
  readonly memoryBytes: number;
  /** When it started, by this machine's clock. */
  readonly startedAt: Date;
  /** Its arguments with spaces between them, at most 255 bytes; its name in brackets if it has none. */
  readonly command: string;
}

/** The programs that run in a sandbox at one moment. */
export interface SandboxProcessList {
  /** How many there are. */
  readonly total: number;
  /** Those of them that fit a message, some hundreds: the ones that have used most processor time, in that order. */
  readonly processes: readonly SandboxProcess[];
}

/** `pid parent uid state cpuMs residentBytes ageMs`, the user and the command, each behind a line feed. */
const ENTRY =
  /^(?<pid>\d{1,10}) (?<parent>\d{1,10}) (?<uid>\d{1,10}) (?<state>[A-Za-z]) (?<cpuMs>\d{1,15}) (?<bytes>\d{1,15}) (?<ageMs>\d{1,15})\n(?<user>[^\n]*)\n(?<command>[\s\S]*)$/;
/** The longest time that a `Date` can be away from another one, less than half of what there is. */
const AGE_MS_MAX = 4e15;

/**
 * Lists the programs in the guest.
 *
 * @throws {SandboxNotRunningError}
 * @throws {MetricsUnavailableError} if the guest does not answer.
 */
export function listProcesses(sandbox: BackendSandbox): Promise<SandboxProcessList> {
  return askSandbox(sandbox, async (client) => {
    const { errno, total, processes } = await client.listProcesses();
    if (errno !== 0) throw new MetricsUnavailableError(sandbox.name, "the guest lists no programs", errno);
    const now = Date.now();
    return { total: Math.max(total, processes.length), processes: processes.map((text) => parse(text, now)) };
  });
}

function parse(text: string, now: number): SandboxProcess {
  const groups = ENTRY.exec(text)?.groups;
  if (groups === undefined) throw new ProtocolError(`The guest lists no program as ${JSON.stringify(text)}`);
  const { pid, parent, uid, state = "", cpuMs, bytes, ageMs, user, command = "" } = groups;
  return {
    pid: Number(pid),
    parentPid: Number(parent),
    uid: Number(uid),
    user: user === "" ? undefined : user,
    state,
    cpuTimeMs: Number(cpuMs),
    memoryBytes: Number(bytes),
    startedAt: new Date(now - Math.min(Number(ageMs), AGE_MS_MAX)),
    command,
  };
}
