/**
 * What a caller may ask of a sandbox's network, checked.
 *
 * @module
 */
import { z } from "zod";
import type { NetworkConfig, NetworkMode } from "../network/network_plan.ts";
import { formatPortAddress, type PortAddress, type PortKind } from "../network/published_port.ts";
import { findTapProblem, gatewayOf, NAME_SERVERS_MAX, TAP_CIDR_DEFAULT } from "../network/tap_config.ts";

/** A network, with what it takes; a mode alone is that mode with all defaults. */
export type NetworkOptions = { readonly mode: "none" } | UserNetworkOptions | TapNetworkOptions;

/** Outbound connections through the host, without privileges. */
export interface UserNetworkOptions {
  /** Chooses mode `user`. */
  readonly mode: "user";
  /**
   * What carries them: `"host"`, the sandbox's own VM host process, which decides about each; or `"passt"`, a program that has
   * to be installed and forbids nothing but the host's loopback interface.
   *
   * @default {"host"}
   */
  readonly via?: "host" | "passt" | undefined;
}

/**
 * A TAP device between host and guest: for root, or CAP_NET_ADMIN in the network namespace of this process. Each sandbox
 * has an address that the host reaches it by, leased for as long as it runs.
 */
export interface TapNetworkOptions {
  /** Chooses mode `tap`. */
  readonly mode: "tap";
  /**
   * Where addresses are from: an IPv4 network of /8 to /30 that the host has no route to. @default {"10.213.0.0/16"}
   */
  readonly cidr?: string | undefined;
  /** The host's address, for the guest. @default the first of `cidr` */
  readonly gateway?: string | undefined;
  /** Addresses of at most 3 name servers. @default the gateway */
  readonly dns?: readonly string[] | undefined;
  /**
   * Whether the guest reaches the host only, and only the host reaches the guest. Without, the host forwards what comes
   * from the guest: to other sandboxes that are not isolated either, and to wherever its own rules allow. @default {true}
   */
  readonly isolated?: boolean | undefined;
}

/** A port to publish. */
export interface PortOptions {
  /** Port of the host; 0 lets the system choose one. */
  readonly hostPort: number;
  /** Port in the sandbox. */
  readonly guestPort: number;
  /** Address of the host to listen at: the default can be reached from this machine only. @default {"127.0.0.1"} */
  readonly bind?: string | undefined;
  /**
   * `"tcp"` or `"udp"`.
   *
   * @default {"tcp"}
   */
  readonly protocol?: PortKind | undefined;
}

/** One port to publish, as callers give it. */
export const portSchema = z.strictObject({
  hostPort: z.int().min(0).max(65_535),
  guestPort: z.int().min(1).max(65_535),
  bind: z.union([z.ipv4(), z.ipv6()], "must be an IPv4 or IPv6 address").default("127.0.0.1"),
  protocol: z.enum(["tcp", "udp"]).default("tcp"),
});

const tapSchema = z
  .strictObject({
    mode: z.literal("tap"),
    cidr: z.string().default(TAP_CIDR_DEFAULT),
    gateway: z.ipv4().optional(),
    dns: z.array(z.ipv4()).max(NAME_SERVERS_MAX).optional(),
    isolated: z.boolean().default(true),
  })
  .transform(({ gateway: wanted, dns, ...tap }, context): NetworkConfig => {
    const problem = findTapProblem(tap.cidr, wanted);
    if (problem !== undefined) {
      context.addIssue({ code: "custom", path: [problem.field], message: problem.problem });
      return z.NEVER;
    }
    const gateway = wanted ?? gatewayOf(tap.cidr);
    return { ...tap, gateway, dns: dns ?? [gateway] };
  });

/** A network as callers give it, and as it is stored. */
export const networkSchema = z.preprocess(
  (network: NetworkMode | NetworkOptions | undefined) =>
    typeof network === "string" ? { mode: network } : network,
  z.discriminatedUnion("mode", [
    z.strictObject({ mode: z.literal("none") }),
    z.strictObject({ mode: z.literal("user"), via: z.enum(["host", "passt"]).optional() }),
    tapSchema,
  ]),
);

/** Whether no host port is there twice. */
export function areDistinct(ports: readonly PortAddress[]): boolean {
  const chosen = ports.filter(({ hostPort }) => hostPort !== 0);
  return new Set(chosen.map(formatPortAddress)).size === chosen.length;
}
