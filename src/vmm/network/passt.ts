/**
 * `user` mode through passt: it turns the guest's frames into sockets of the host and back, with no privileges. libkrun's own way,
 * TSI, is not used: it lets the guest reach the host's loopback interface, and loses data (on libkrun 1.17 and its kernels,
 * sends of more than 32 KiB).
 *
 * @module
 */
import { closeSync, existsSync, openSync } from "node:fs";
import { join } from "node:path";
import { TimeoutError } from "../../base/errors.ts";
import { pollUntil } from "../../base/wait.ts";
import { NetworkError } from "../../network/errors.ts";
import type { PasstPlan } from "../../network/network_plan.ts";
import { findPasst } from "../../network/passt_program.ts";
import { spawnBound } from "../../platform/bound_child.ts";
import { RunFile } from "../run_directory/run_directory.ts";

/** How long passt may take to listen; it needs tens of milliseconds. */
const START_TIMEOUT_MS = 10_000;
const START_POLL_MS = 5;

/** passt's command line. See passt(1). */
export function passtArguments(plan: PasstPlan, socketPath: string): string[] {
  return [
    ...["--foreground", "--one-off", "--quiet", "--socket", socketPath],
    // As the user `nobody`, which it would become, it could not enter the run directory. It confines itself in either case.
    ...(process.getuid?.() === 0 ? ["--runas", "0"] : []),
    "--ipv4-only",
    // Nothing leads to the host's loopback interface, and no port of the host to the guest.
    ...["--no-map-gw", "--tcp-ports", "none", "--udp-ports", "none"],
    ...["--address", plan.address, "--netmask", String(plan.prefixBits), "--gateway", plan.gateway],
    ...[...plan.dns.flatMap((server) => ["--dns-forward", server]), "--mtu", String(plan.mtu)],
    ...["--no-dhcp", "--no-dhcpv6", "--no-ndp", "--no-ra"],
  ];
}

/**
 * Starts passt; resolves with the socket that the engine is to connect to. It ends with its only connection.
 *
 * @throws {UnsupportedError} if it is not installed.
 * @throws {NetworkError} if it does not run, e.g. on a host without a route.
 */
export async function startPasst(plan: PasstPlan, runDirectory: string): Promise<string> {
  const program = findPasst();
  const socketPath = join(runDirectory, RunFile.passt);
  const output = openSync(join(runDirectory, RunFile.diagnostics), "a", 0o600);
  try {
    const child = await spawnBound(program, passtArguments(plan, socketPath), output);
    const listens = () => {
      if (existsSync(socketPath)) return true;
      if (child.exitCode === null && child.signalCode === null) return false;
      throw new NetworkError("passt ended at once: what it said is in the diagnosticsTail of this error", {
        hint: 'network "user" needs a host with a route to the outside; ports and fetch() work with "none", too',
      });
    };
    if ((await pollUntil(listens, { everyMs: START_POLL_MS, timeoutMs: START_TIMEOUT_MS })) !== true) {
      child.kill("SIGKILL");
      throw new TimeoutError("waiting for passt to listen", START_TIMEOUT_MS);
    }
    child.unref();
    return socketPath;
  } finally {
    closeSync(output);
  }
}
