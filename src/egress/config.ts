/**
 * The network of a sandbox as it is handed to the process that decides: plain data, checked where it was given.
 *
 * @module
 */

/** What a rule that matches does. */
export type Action = "allow" | "deny";
/** Whether a rule is for flows that the guest opens, for those that it receives, or for both. */
export type Direction = "egress" | "ingress" | "any";
/** Transport of a flow. */
export type Protocol = "tcp" | "udp" | "icmpv4" | "icmpv6";
/** Addresses that share a purpose. */
export type DestinationGroup =
  | "public"
  | "loopback"
  | "private"
  | "link-local"
  | "metadata"
  | "multicast"
  | "host";

/** Whom a rule is about. */
export type Destination =
  | { readonly kind: "any" }
  | { readonly kind: "cidr"; readonly cidr: string }
  | { readonly kind: "domain"; readonly domain: string }
  | { readonly kind: "domainSuffix"; readonly suffix: string }
  | { readonly kind: "group"; readonly group: DestinationGroup };

/** Ports from `start` to `end`, both included. */
export interface PortRange {
  readonly start: number;
  readonly end: number;
}

/** One rule. */
export interface Rule {
  readonly direction: Direction;
  readonly destination: Destination;
  /** Empty for any. */
  readonly protocols: readonly Protocol[];
  /** Ports of the flow's destination; empty for any. */
  readonly ports: readonly PortRange[];
  readonly action: Action;
}

/** Rules in order: the first that matches decides, else the default of the direction. */
export interface NetworkPolicy {
  readonly defaultEgress: Action;
  readonly defaultIngress: Action;
  readonly rules: readonly Rule[];
}

/** How names are resolved. */
export interface DnsConfig {
  /** `address` or `address:port`, asked in order; empty for those of this machine. */
  readonly nameservers: readonly string[];
  /** Whether to refuse a private address as the answer for a public name. */
  readonly rebindProtection: boolean;
  /** Time limit of a name server. */
  readonly queryTimeoutMs: number;
}

/** Whose TLS is read, and how the other end is verified. Certificates are PEM texts. */
export interface TlsConfig {
  readonly interceptedPorts: readonly number[];
  /** Names, or `*.` and a suffix, whose TLS passes unread. */
  readonly bypass: readonly string[];
  readonly verifyUpstream: boolean;
  readonly scopedVerifyUpstream: readonly { readonly pattern: string; readonly verify: boolean }[];
  readonly upstreamCaCerts: readonly { readonly pattern?: string | undefined; readonly pem: string }[];
  /** The authority that signs for the guest: PEM texts. */
  readonly caCert: string;
  readonly caKey: string;
  readonly blockQuic: boolean;
}

/** What happens when the guest sends a placeholder or a value to a host that may not get it. */
export type ViolationAction = "block" | "block-and-log" | "block-and-terminate" | "passthrough";

/** A secret that the guest knows by its placeholder only. */
export interface SecretConfig {
  /** Name of the variable that holds the placeholder in the guest. */
  readonly envVar: string;
  readonly placeholder: string;
  readonly value: string;
  readonly allowedHosts: readonly string[];
  /** `*.` and a suffix, or `*`. */
  readonly allowedHostPatterns: readonly string[];
  readonly allowAnyHost: boolean;
  /** Whether the other end has to prove its name by TLS. */
  readonly requireTlsIdentity: boolean;
  readonly injection: {
    readonly headers: boolean;
    readonly basicAuth: boolean;
    readonly queryParams: boolean;
    readonly body: boolean;
  };
}

/** A token bucket: starts full, refills continuously. `oneTimeBurst` is there once, on top. */
export interface TokenBucketConfig {
  /** Bytes, or operations. */
  readonly size: number;
  /** Time in which an empty bucket is full again. */
  readonly refillTimeMs: number;
  /** Extra tokens, available once. */
  readonly oneTimeBurst: number;
}

/** Limits of one direction: bytes, and operations (packets, or chunks of a stream). */
export interface RateLimiterConfig {
  /** Bytes. */
  readonly bandwidth?: TokenBucketConfig | undefined;
  /** Operations. */
  readonly ops?: TokenBucketConfig | undefined;
}

/** All that decides about a sandbox's flows. */
export interface EgressConfig {
  readonly policy: NetworkPolicy;
  readonly dns: DnsConfig;
  /** If absent, no TLS is read. Secrets imply it. */
  readonly tls?: TlsConfig | undefined;
  readonly secrets: readonly SecretConfig[];
  readonly secretViolation: ViolationAction;
  /** TCP connections at once. */
  readonly maxConnections: number;
  readonly rateLimiter: {
    readonly egress?: RateLimiterConfig | undefined;
    readonly ingress?: RateLimiterConfig | undefined;
  };
}
