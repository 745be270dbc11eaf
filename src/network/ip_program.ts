/** Runs iproute2's `ip`, which sets up and shows the host's side of TAP networks. @module */
import { spawnSync } from "node:child_process";
import { messageOf, UnsupportedError } from "../base/errors.ts";
import { boundCommand } from "../platform/bound_child.ts";
import { findProgram } from "../platform/find_program.ts";
import { NetworkError, NetworkPrivilegeError } from "./errors.ts";

/** `ip` needs milliseconds, but may have to wait for the kernel's lock on the network. */
const TIMEOUT_MS = 10_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** The result of a run of `ip`. */
export interface IpResult {
  readonly isDone: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** @throws {UnsupportedError} if it is not installed. @throws {UntrustedPathError} as `findProgram()` does. */
export function findIp(): string {
  const program = findProgram("ip");
  if (program !== undefined) return program;
  throw new UnsupportedError("iproute2's program ip is not installed, and network mode tap needs it", {
    hint: "apt-get install iproute2",
  });
}

/**
 * Runs `ip` with `args`, and with `lines` as its standard input. See ip(8), `-batch`. The kernel kills it with this process:
 * otherwise the rest of its work could come after another process has cleaned up.
 */
export function runIp(
  args: readonly string[],
  lines: readonly string[] = [],
  timeoutMs: number = TIMEOUT_MS,
): IpResult {
  const [file, boundArgs] = boundCommand(findIp(), args);
  const { status, stdout, stderr, error } = spawnSync(file, boundArgs, {
    encoding: "utf8",
    input: lines.map((line) => `${line}\n`).join(""),
    timeout: timeoutMs,
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, LC_ALL: "C" },
  });
  return {
    isDone: status === 0,
    stdout: stdout ?? "",
    stderr: error === undefined ? (stderr ?? "") : messageOf(error),
  };
}

/** The error for a run of `ip` that failed. */
export function ipError(action: string, { stderr }: IpResult): Error {
  const reason = stderr.trim().replaceAll("\n", "; ");
  if (/Operation not permitted|Permission denied/.test(reason)) return new NetworkPrivilegeError(reason);
  return new NetworkError(`Cannot ${action}: ${reason}`);
}
