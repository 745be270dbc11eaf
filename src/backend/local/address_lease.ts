/**
 * The address of a sandbox: what it gets for a boot, what it has, and how it is given back.
 *
 * @module
 */
import { MicrosandboxError } from "../../base/errors.ts";
import { formatIpv4, parseIpv4, rangesOverlap } from "../../base/ipv4.ts";
import { pollUntil } from "../../base/wait.ts";
import { GUEST_NETWORK } from "../../egress/guest_network.ts";
import { NetworkError, NetworkExhaustedError } from "../../network/errors.ts";
import {
  type FlowPlan,
  type NetworkConfig,
  type NetworkPlan,
  type PasstPlan,
  planPasstNetwork,
  planTapNetwork,
  tapNameOf,
  type UserConfig,
} from "../../network/network_plan.ts";
import { findPasst } from "../../network/passt_program.ts";
import { checkTapHost } from "../../network/tap_checks.ts";
import { hostRange, rangeOf, type TapConfig } from "../../network/tap_config.ts";
import { lowerTap } from "../../network/tap_device.ts";
import { ownProcess, type ProcessIdentity } from "../../platform/process_identity.ts";
import { isOver, type Lease } from "../../state/leases.ts";
import type { StateStore } from "../../state/state_store.ts";

/** What an engine may need to end after its VM host process has: the kernel ends it, and its device with it. */
const DEVICE_TIMEOUT_MS = 5_000;
const DEVICE_POLL_MS = 10;
/** How long routing rules may take to go, each time, while the state database is locked: others wait for that for 10 s. */
const UNROUTE_TIMEOUT_MS = 1_000;
/**
 * A VM host process that was killed while it made its rules took its `ip` along; but what that was waiting for in the
 * kernel, behind others, it still gets: one rule, which may come after the first look.
 */
const UNROUTE_PASSES = 2;

/**
 * Refuses a network that this machine cannot give.
 *
 * @throws {UnsupportedError} if a program or a device is missing.
 * @throws {NetworkPrivilegeError} if it takes more rights than this process has.
 * @throws {NetworkError} if the host has routes to addresses of the network.
 */
export function checkNetworkHost(state: StateStore, network: NetworkConfig): void {
  if (network.mode === "user" && network.via === "passt") findPasst();
  if (network.mode !== "tap") return;
  checkTapHost(network, () => {
    const leases = state.leases.sweep(unroute).filter((lease) => lease.network === keyOf(network));
    return new Set(leases.map(({ device }) => device));
  });
}

/**
 * The network device of a boot, with an address that is its own for as long as `holder` runs.
 *
 * @returns `undefined` where there is no device.
 * @throws {NetworkExhaustedError}
 * @throws {NetworkError} if running sandboxes have addresses of a network that overlaps.
 */
export function planNetwork(
  state: StateStore,
  network: NetworkConfig,
  sandboxId: string,
  holder: ProcessIdentity,
): NetworkPlan | undefined {
  if (network.mode === "none") return undefined;
  if (network.mode === "user") return planUser(network, sandboxId);
  return planTapNetwork(network, sandboxId, takeAddress(state, network, sandboxId, holder));
}

/**
 * The address of a sandbox that this process is about to create, leased where the network has one for each.
 *
 * @returns `""` without a network.
 * @throws as {@linkcode planNetwork} and {@linkcode checkNetworkHost} do
 */
export function reserveAddress(state: StateStore, network: NetworkConfig, sandboxId: string): string {
  if (network.mode === "none") return "";
  if (network.mode === "user") return planUser(network, sandboxId).address;
  checkNetworkHost(state, network);
  return takeAddress(state, network, sandboxId, ownProcess());
}

/** The network device that a sandbox has now; in mode `tap` none while it does not run. */
export function presentPlan(
  state: StateStore,
  network: NetworkConfig,
  sandboxId: string,
): NetworkPlan | undefined {
  if (network.mode === "none") return undefined;
  if (network.mode === "user") return planUser(network, sandboxId);
  const lease = state.leases.find(sandboxId);
  if (lease === undefined || isOver(lease)) return undefined;
  return planTapNetwork(network, sandboxId, formatIpv4(lease.address));
}

/** The addresses of a guest whose connections the VM host process carries, and whose names it resolves. */
const FLOW_PLAN: FlowPlan = {
  mode: "user",
  via: "host",
  address: GUEST_NETWORK.ipv4.address,
  prefixBits: GUEST_NETWORK.ipv4.prefixBits,
  gateway: GUEST_NETWORK.ipv4.gateway,
  dns: [GUEST_NETWORK.ipv4.gateway],
  mtu: 65_535, // NET_MTU of the agent
};

function planUser({ via }: UserConfig, sandboxId: string): FlowPlan | PasstPlan {
  return via === "passt" ? planPasstNetwork(sandboxId) : FLOW_PLAN;
}

/** Strikes out the lease of a boot that has ended, unless its engine is still about to. */
export function releaseEnded(state: StateStore, sandboxId: string): void {
  const lease = state.leases.find(sandboxId);
  if (lease !== undefined && isOver(lease)) state.leases.sweep(unroute);
}

/** Strikes out the leases of boots that ended without anybody seeing it. */
export function sweepLeases(state: StateStore): void {
  if (state.leases.hasEnded()) state.leases.sweep(unroute);
}

/** Waits until nothing is left of the network of a boot that has ended. */
export async function settleNetwork(
  state: StateStore,
  { id, host }: { readonly id: string; readonly host: ProcessIdentity | undefined },
): Promise<void> {
  const isSettled = () => {
    const lease = state.leases.find(id);
    if (lease === undefined || isOver(lease)) return true;
    const { pid, startTime } = lease.holder;
    return pid !== host?.pid || startTime !== host.startTime; // that of a later boot
  };
  await pollUntil(isSettled, { everyMs: DEVICE_POLL_MS, timeoutMs: DEVICE_TIMEOUT_MS });
  releaseEnded(state, id); // if it is still there, the next lease of an address looks again
}

function takeAddress(
  state: StateStore,
  network: TapConfig,
  sandboxId: string,
  holder: ProcessIdentity,
): string {
  const { cidr, gateway } = network;
  const outcome = state.leases.take(
    {
      sandboxId,
      holder,
      device: tapNameOf(sandboxId),
      network: keyOf(network),
      ...hostRange(cidr),
      gateway: parseIpv4(gateway) ?? 0,
      overlaps: (key) => rangesOverlap(rangeOf(key.split(" ")[0] ?? ""), rangeOf(cidr)),
    },
    unroute,
  );
  if (outcome.kind === "leased") return formatIpv4(outcome.address);
  if (outcome.kind === "exhausted") throw new NetworkExhaustedError(cidr);
  throw new NetworkError(`The network ${cidr} overlaps that of other sandboxes, ${outcome.network}`, {
    hint: "choose another cidr for the network, or the same one with the same gateway",
  });
}

/** Names a network: with another gateway it would be another. */
function keyOf({ cidr, gateway }: TapConfig): string {
  return `${cidr} by ${gateway}`;
}

/** The VM host process was killed before it could do so. A process that cannot either leaves it to the next one. */
function unroute({ device, address }: Lease): boolean {
  try {
    for (let pass = 0; pass < UNROUTE_PASSES; pass++)
      lowerTap({ tapName: device, address: formatIpv4(address) }, UNROUTE_TIMEOUT_MS);
    return true;
  } catch (error) {
    if (MicrosandboxError.is(error)) return false;
    throw error;
  }
}
