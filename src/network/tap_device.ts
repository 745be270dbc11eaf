/**
 * The host's side of a TAP device. The engine makes the device and the kernel removes it with the engine's last
 * descriptor, so that none outlasts its VM, however that ends; what is done here is to give it its address and its bounds.
 *
 * It is a link of two: the gateway's address on this side, the guest's on the other, and no bridge. Two means
 * keep a guest from reaching further, since each alone can be undone by others: the device does not forward (but setting
 * `net.ipv4.ip_forward` sets that of all devices), and rules ahead of the host's routes drop all traffic from the guest
 * that is not for the host, and all traffic for the guest that is not from the host.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { errnoOf, messageOf } from "../base/errors.ts";
import { NetworkPrivilegeError } from "./errors.ts";
import { ipError, runIp } from "./ip_program.ts";
import type { TapPlan } from "./network_plan.ts";

/** After the rule for the host's own addresses, which is 0, and before all that others are known to set. */
const RULE_PRIORITY = 2;

/** What `ip` says of a device or a rule that is not there, and which line of a batch that was. */
const ABSENCE =
  /^(Cannot find device ".*"|RTNETLINK answers: No such (file or directory|device)|Command failed -:\d+)$/;

/** What tells one TAP device from the others. */
export type TapLink = Pick<TapPlan, "tapName" | "address">;

/**
 * Gives a TAP device, which exists, its address and its bounds, and raises it.
 *
 * @throws {NetworkPrivilegeError}
 * @throws {NetworkError} with what the kernel says.
 */
export function raiseTap(plan: TapPlan): void {
  const { tapName, gateway, address, mtu, isolated } = plan;
  setParameter(`ipv4/conf/${tapName}/forwarding`, isolated ? "0" : "1");
  // A guest that uses another's address is not heard (RFC 3704, strict mode).
  setParameter(`ipv4/conf/${tapName}/rp_filter`, "1");
  setParameter(`ipv6/conf/${tapName}/disable_ipv6`, "1");
  lowerTap(plan); // what a killed process left of this address would drop the guest's packets, or be in the way
  const result = runIp(
    ["-batch", "-"],
    [
      ...(isolated ? rules(plan).map((rule) => `rule add ${rule}`) : []),
      `address add ${gateway} peer ${address} dev ${tapName}`,
      `link set dev ${tapName} mtu ${mtu} up`,
    ],
  );
  if (!result.isDone) throw ipError(`set up the network device ${tapName}`, result);
}

/**
 * Removes the rules of a TAP device, and of whatever had its address; the device itself goes with its VM, and is down from
 * here on, as nothing else bounds a guest that still runs. Does nothing where there are none.
 *
 * @throws {NetworkPrivilegeError}
 * @throws {NetworkError} with what the kernel says, or that it did not answer within `timeoutMs`.
 */
export function lowerTap(link: TapLink, timeoutMs?: number): void {
  const result = runIp(
    ["-force", "-batch", "-"],
    [`link set dev ${link.tapName} down`, ...rules(link).map((rule) => `rule del ${rule}`)],
    timeoutMs,
  );
  if (result.isDone) return;
  const complaints = result.stderr.trim().split("\n");
  if (!complaints.every((line) => ABSENCE.test(line)))
    throw ipError(`take back the network device ${link.tapName}`, result);
}

/** See ip-rule(8). Packets of the host itself are those that come in by `lo`. */
function rules({ tapName, address }: TapLink): string[] {
  return [
    `priority ${RULE_PRIORITY} iif ${tapName} blackhole`,
    `priority ${RULE_PRIORITY} iif lo to ${address} lookup main`,
    `priority ${RULE_PRIORITY + 1} to ${address} blackhole`,
  ];
}

/** Sets a parameter of the kernel, unless it has that value already. See ip-sysctl in the kernel's documentation. */
function setParameter(name: string, value: string): void {
  const path = `/proc/sys/net/${name}`;
  try {
    if (readFileSync(path, "utf8").trim() !== value) writeFileSync(path, value);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT" && name.startsWith("ipv6/")) return; // a kernel without IPv6
    throw new NetworkPrivilegeError(`${path} cannot be set: ${messageOf(cause)}`, { cause });
  }
}
