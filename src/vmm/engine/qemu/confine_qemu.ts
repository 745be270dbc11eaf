/**
 * What QEMU, which faces the guest, may still do on the host.
 *
 * Its own filter of system calls refuses to start programs, to gain privileges, and calls that only old programs make. As
 * root it runs without capabilities: with root's own files, and no power over the rest of the host. Only `tap` leaves it
 * CAP_NET_ADMIN, since it makes its own device.
 *
 * @module
 */
import { readFileSync } from "node:fs";

/** See qemu(1), `-sandbox`. */
export const SANDBOX_ARGUMENTS: readonly string[] = [
  "-sandbox",
  "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
];

/** Bit of CAP_SETPCAP, which dropping capabilities takes, in the masks of proc(5). */
const CAP_SETPCAP = 8n;

/** Options of setpriv(1) that QEMU is started with. Without CAP_SETPCAP there is nothing to drop, or no right to. */
export function privilegeArguments(
  makesDevice: boolean,
  effectiveCapabilities: bigint = ownCapabilities(),
): string[] {
  const mayDrop = (effectiveCapabilities & (1n << CAP_SETPCAP)) !== 0n;
  if (!mayDrop) return ["--no-new-privs"];
  const kept = makesDevice ? ",+net_admin" : "";
  return ["--no-new-privs", "--inh-caps=-all", `--bounding-set=-all${kept}`];
}

/** This process's effective capabilities; none where they cannot be read. */
function ownCapabilities(): bigint {
  try {
    const [, mask] = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
    return BigInt(`0x${mask ?? "0"}`);
  } catch {
    return 0n; // no /proc
  }
}
