/**
 * What a caller may ask of a sandbox's network, checked.
 *
 * @module
 */
import { z } from "zod";
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import type { HttpHooks } from "../egress/http/hooks.ts";
import type { NetworkMode, UserConfig } from "../network/network_plan.ts";
import {
  formatPortAddress,
  type PortAddress,
  type PortKind,
  PUBLISHED_PORTS_MAX,
} from "../network/published_port.ts";
import {
  findTapProblem,
  gatewayOf,
  NAME_SERVERS_MAX,
  TAP_CIDR_DEFAULT,
  type TapConfig,
} from "../network/tap_config.ts";
import {
  checkEgress,
  type EgressOptions,
  egressShape,
  type StoredEgress,
  storedEgressSchema,
} from "./egress_options.ts";
import type { SecretValues, StoredSecret } from "./secret_options.ts";

/** A network, with what it takes; a mode alone is that mode with all defaults. Without `mode` it is mode `user`. */
export type NetworkOptions = NoNetworkOptions | UserNetworkOptions | TapNetworkOptions;

/** No network. */
export interface NoNetworkOptions {
  /** Chooses mode `none`. */
  readonly mode: "none";
  /** Ports to publish, beside {@linkcode SandboxOptions.ports}. */
  readonly ports?: readonly PortOptions[] | undefined;
}

/**
 * Outbound connections through the host, without privileges. The sandbox's VM host process decides about each of them.
 *
 * @example
 * ```ts no-vm
 * import { SecretSource, type UserNetworkOptions } from "microsandbox";
 *
 * const network: UserNetworkOptions = {
 *   allow: ["packages.example", "*.files.example", "10.1.0.0/16:5432"],
 *   secrets: { GH_TOKEN: { hosts: ["api.github.example"], from: SecretSource.env("GH_TOKEN") } },
 * };
 * console.log(network.allow?.length); // 3
 * ```
 */
export interface UserNetworkOptions extends EgressOptions {
  /** Chooses mode `user`, which every other field here implies. */
  readonly mode?: "user" | undefined;
  /**
   * What carries them: `"host"`, the sandbox's own VM host process, which decides about each; or `"passt"`, a program that has
   * to be installed, forbids nothing but the host's loopback interface, and takes none of the other fields.
   *
   * @default {"host"}
   */
  readonly via?: "host" | "passt" | undefined;
  /** Ports to publish, beside {@linkcode SandboxOptions.ports}. */
  readonly ports?: readonly PortOptions[] | undefined;
  /**
   * Sees each HTTP request of the guest that is read on the way, and returns another one to the same origin, a response in place of
   * the server's, or nothing to let it pass. This process carries the connections then: they end with it. It implies
   * {@linkcode EgressOptions.tls}, and is not stored: every start needs it again.
   *
   * @default none
   *
   * @example
   * ```ts no-vm
   * import type { UserNetworkOptions } from "microsandbox";
   *
   * const network: UserNetworkOptions = {
   *   allow: ["api.example"],
   *   onRequest(request) {
   *     if (request.method !== "DELETE") return;
   *     return new Response("not from in here", { status: 403 });
   *   },
   * };
   * console.log(typeof network.onRequest); // function
   * ```
   */
  readonly onRequest?: HttpHooks["onRequest"] | undefined;
  /** Sees each response, with the request that it answers, and returns another one, or nothing. See `onRequest`. @default none */
  readonly onResponse?: HttpHooks["onResponse"] | undefined;
}

/** A network as it is stored: with defaults, and without values of secrets. */
export type StoredNetwork = { readonly mode: "none" } | StoredUserNetwork | TapConfig;

/** A network of mode `user` as it is stored. */
export interface StoredUserNetwork extends UserConfig {
  /** What decides about connections; `undefined`: what is public is allowed. */
  readonly egress?: StoredEgress | undefined;
  /** Whether it was created with hooks, which are not stored. */
  readonly hasHooks?: boolean | undefined;
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
  .transform(({ gateway: wanted, dns, ...tap }, context): TapConfig => {
    const problem = findTapProblem(tap.cidr, wanted);
    if (problem !== undefined) {
      context.addIssue({ code: "custom", path: [problem.field], message: problem.problem });
      return z.NEVER;
    }
    const gateway = wanted ?? gatewayOf(tap.cidr);
    return { ...tap, gateway, dns: dns ?? [gateway] };
  });

/** Ports to publish, as callers give them. */
export const portsSchema = z
  .array(portSchema)
  .max(PUBLISHED_PORTS_MAX)
  .refine(areDistinct, "must not have the same host port twice");

const via = z.enum(["host", "passt"]).optional();
const onRequest = z.custom<NonNullable<HttpHooks["onRequest"]>>(isFunction, "must be a function").optional();
const onResponse = z
  .custom<NonNullable<HttpHooks["onResponse"]>>(isFunction, "must be a function")
  .optional();

/** A network as callers give it. */
export const networkSchema = z.preprocess(
  completeAndCheckMode,
  z.discriminatedUnion(
    "mode",
    [
      z.strictObject({ mode: z.literal("none"), ports: portsSchema.optional() }),
      z.strictObject({
        mode: z.literal("user"),
        via,
        ports: portsSchema.optional(),
        ...egressShape,
        onRequest,
        onResponse,
      }),
      tapSchema,
    ],
    { error: ({ code }) => (code === "invalid_union" ? 'must be "none", "user" or "tap"' : undefined) },
  ),
);

/** A network as it is stored. */
export const storedNetworkSchema = z.preprocess(
  completeMode,
  z.discriminatedUnion("mode", [
    z.object({ mode: z.literal("none") }),
    z.object({
      mode: z.literal("user"),
      via,
      egress: storedEgressSchema.optional(),
      hasHooks: z.boolean().optional(),
    }),
    tapSchema,
  ]),
);

/** Says which mode a field of mode `user` belongs to. Otherwise it would be called unknown, like a misspelt name. */
function completeAndCheckMode(
  network: NetworkMode | NetworkOptions | undefined,
  context: z.RefinementCtx,
): unknown {
  if (typeof network !== "object" || network === null || !("mode" in network)) return completeMode(network);
  const { mode } = network;
  const own: readonly string[] = mode === "tap" ? ["dns"] : [];
  const foreign = Object.keys(network).filter((field) => field in egressShape && !own.includes(field));
  if (mode !== "none" && mode !== "tap") return network;
  for (const field of foreign)
    context.addIssue({
      code: "custom",
      path: [field],
      message: `must not be there: mode ${JSON.stringify(mode)} has none, mode "user" has`,
    });
  return foreign.length > 0 ? z.NEVER : network;
}

/** A mode alone is that with all defaults; what belongs to mode `user` implies it. */
function completeMode(network: NetworkMode | NetworkOptions | undefined): unknown {
  if (typeof network === "string") return { mode: network };
  const isUser =
    typeof network === "object" &&
    network !== null &&
    !("mode" in network) &&
    Object.values(network).some((value) => value !== undefined); // a list that was not read must not open public addresses
  return isUser ? { mode: "user", ...(network as object) } : network;
}

/** A network that was checked: what is stored, and what is not. */
export interface CheckedNetwork {
  readonly stored: StoredNetwork;
  readonly ports: readonly z.output<typeof portSchema>[];
  /** Secrets that were given by value. */
  readonly secretValues: SecretValues;
  /** Functions that see its requests. */
  readonly hooks?: HttpHooks | undefined;
}

/** Checks what no schema can. @throws {InvalidConfigError} naming each field that is wrong. */
export function checkNetwork(network: z.output<typeof networkSchema>): CheckedNetwork {
  if (network.mode === "tap") return { stored: network, ports: [], secretValues: {} };
  const { mode, ports = [] } = network;
  if (mode === "none") return { stored: { mode }, ports, secretValues: {} };
  const { via, ports: _given, mode: _mode, ...given } = network;
  if (via === "passt") {
    const issues = Object.entries(given).flatMap(([field, value]): ConfigIssue[] =>
      value === undefined ? [] : [{ field: `network.${field}`, problem: 'is not for via "passt"' }],
    );
    if (issues.length > 0) throw new InvalidConfigError(issues);
    return { stored: { mode, via }, ports, secretValues: {} };
  }
  const { onRequest: asked, onResponse: answered, ...options } = given;
  const hooks = hooksOf(asked, answered);
  const { stored: egress, secretValues } = checkEgress(options, "network", hooks !== undefined);
  const stored = {
    mode,
    ...(via === undefined ? {} : { via }),
    egress,
    ...(hooks === undefined ? {} : { hasHooks: true }),
  };
  return { stored, ports, secretValues, hooks };
}

function hooksOf(
  onRequest: HttpHooks["onRequest"] | undefined,
  onResponse: HttpHooks["onResponse"] | undefined,
): HttpHooks | undefined {
  if (onRequest === undefined && onResponse === undefined) return undefined;
  return { ...(onRequest && { onRequest }), ...(onResponse && { onResponse }) };
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

/** Whether no host port is there twice. */
export function areDistinct(ports: readonly PortAddress[]): boolean {
  const chosen = ports.filter(({ hostPort }) => hostPort !== 0);
  return new Set(chosen.map(formatPortAddress)).size === chosen.length;
}

/** The secrets of a network; empty in modes without secrets. */
export function secretsOf(network: StoredNetwork): readonly StoredSecret[] {
  return network.mode === "user" ? (network.egress?.secrets ?? []) : [];
}
