/**
 * What a caller may ask of the network that the VM host process decides about, checked, and the form in which it is stored: with
 * paths instead of keys, and names instead of values.
 *
 * @module
 */
import { isIP } from "node:net";
import { resolve } from "node:path";
import { z } from "zod";
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import { TIMER_MS_MAX } from "../base/wait.ts";
import type { DnsConfig, EgressConfig, NetworkPolicy, TlsConfig, ViolationAction } from "../egress/config.ts";
import { parseHostName } from "../egress/tls/host_name.ts";
import { checkPolicyOptions, type PolicyOptions, policySchema, policyShape } from "./policy_options.ts";
import {
  checkSecrets,
  type SecretOptions,
  type SecretValues,
  type StoredSecret,
  secretsSchema,
  storedSecretsSchema,
} from "./secret_options.ts";

/** How names are resolved: by this machine, for the guest. */
export interface DnsOptions {
  /** `address` or `address:port`, asked in order; at most 8. @default those of this machine */
  readonly nameservers?: readonly string[] | undefined;
  /** Whether to refuse a private address as the answer for a public name. @default {true} */
  readonly rebindProtection?: boolean | undefined;
  /** Time limit of a name server in milliseconds. @default {5_000} */
  readonly queryTimeoutMs?: number | undefined;
}

/** Whose TLS is read on the way, and how servers are verified. Certificates are paths of PEM files. */
export interface TlsOptions {
  /** Ports whose TLS is read. @default {[443]} */
  readonly interceptedPorts?: readonly number[] | undefined;
  /** Names, or `*.` and a name, whose TLS passes unread. @default none */
  readonly bypass?: readonly string[] | undefined;
  /** Whether servers have to prove their names. @default {true} */
  readonly verifyUpstream?: boolean | undefined;
  /** Exceptions from `verifyUpstream`; the last that matches holds. */
  readonly scopedVerifyUpstream?:
    | readonly { readonly pattern: string; readonly verify: boolean }[]
    | undefined;
  /** Authorities that are trusted beside those of this machine. */
  readonly upstreamCaCertPaths?: readonly string[] | undefined;
  /** Authorities that are trusted for some names only. */
  readonly scopedUpstreamCaCerts?: readonly { readonly pattern: string; readonly path: string }[] | undefined;
  /** The authority that signs for the guest. @default one of the home, made at its first use */
  readonly interceptCaCertPath?: string | undefined;
  /** Its key. */
  readonly interceptCaKeyPath?: string | undefined;
  /** Whether QUIC is refused on these ports, so that clients use TLS. @default {true} */
  readonly blockQuic?: boolean | undefined;
}

/** A token bucket: it starts full and refills continuously. */
export interface TokenBucketOptions {
  /** Bytes, or operations. */
  readonly size: number;
  /** Milliseconds in which an empty bucket is full again. */
  readonly refillTimeMs: number;
  /** Extra tokens, available once. @default {0} */
  readonly oneTimeBurst?: number | undefined;
}

/** Limits of one direction. */
export interface RateLimiterOptions {
  /** Of bytes. */
  readonly bandwidth?: TokenBucketOptions | undefined;
  /** Of operations: datagrams, or pieces of a stream. */
  readonly ops?: TokenBucketOptions | undefined;
}

/** Limits of both directions. */
export interface NetworkRateLimiterOptions {
  /** Of what the guest sends. @default none */
  readonly egress?: RateLimiterOptions | undefined;
  /** Of what the guest receives. @default none */
  readonly ingress?: RateLimiterOptions | undefined;
}

/** All that decides about the guest's connections. */
export interface EgressOptions extends PolicyOptions {
  /** Secrets, by the names of their variables in the guest, which hold placeholders. @default none */
  readonly secrets?: Readonly<Record<string, SecretOptions>> | undefined;
  /**
   * What happens when the guest sends a placeholder or a value to a host that may not get it: `block` it, `block-and-log`,
   * `block-and-terminate` the sandbox, or `passthrough`, which sends the placeholder as it is.
   *
   * @default {"block-and-log"}
   */
  readonly secretViolation?: ViolationAction | undefined;
  /** How names are resolved. */
  readonly dns?: DnsOptions | undefined;
  /** Reads TLS on the way; `true` means all defaults. @default {false}, and `true` with secrets or hooks */
  readonly tls?: boolean | TlsOptions | undefined;
  /** Limits of bytes and operations. @default none */
  readonly rateLimiter?: NetworkRateLimiterOptions | undefined;
  /** TCP connections at once, 1 to 4096. @default {256} */
  readonly maxConnections?: number | undefined;
}

/** TLS as it is stored: with the paths of its certificates. */
export interface StoredTls extends Omit<TlsConfig, "upstreamCaCerts" | "caCert" | "caKey"> {
  /** Absolute paths. */
  readonly upstreamCaCertPaths: readonly string[];
  /** Absolute paths, by the names that they are for. */
  readonly scopedUpstreamCaCerts: readonly { readonly pattern: string; readonly path: string }[];
  /** Absolute path; `undefined`: the authority of the home. */
  readonly interceptCaCertPath?: string | undefined;
  /** Absolute path. */
  readonly interceptCaKeyPath?: string | undefined;
}

/** What decides about a sandbox's connections, as it is stored: no value of a secret, and no key. */
export interface StoredEgress extends Omit<EgressConfig, "tls" | "secrets"> {
  /** `undefined`: no TLS is read. */
  readonly tls?: StoredTls | undefined;
  /** Without their values. */
  readonly secrets: readonly StoredSecret[];
}

/** TCP connections of a sandbox at once, unless the caller says otherwise. */
const CONNECTIONS_DEFAULT = 256;
const CONNECTIONS_MAX = 4096;
/** More are never asked before a guest's own resolver gives up. */
const NAME_SERVERS_MAX = 8;
const QUERY_TIMEOUT_MS = 5_000;
/** Whose TLS is read by default. */
export const DEFAULT_PORTS: readonly number[] = [443];
const INTERCEPTED_PORTS_MAX = 64;
/** Patterns and certificates of one list. */
const LIST_MAX = 256;

const port = z.int().min(1).max(65_535);
const strings = z.array(z.string()).max(LIST_MAX);
const bucket = z.strictObject({
  size: z.int().min(1),
  refillTimeMs: z.int().min(1).max(TIMER_MS_MAX),
  oneTimeBurst: z.int().min(0).default(0),
});
const limiter = z.strictObject({ bandwidth: bucket.optional(), ops: bucket.optional() });
const dnsSchema = z.strictObject({
  nameservers: z.array(z.string()).max(NAME_SERVERS_MAX).default([]),
  rebindProtection: z.boolean().default(true),
  queryTimeoutMs: z.int().min(1).max(60_000).default(QUERY_TIMEOUT_MS),
});
const scopedVerify = z.array(z.strictObject({ pattern: z.string(), verify: z.boolean() })).max(LIST_MAX);
const scopedPaths = z.array(z.strictObject({ pattern: z.string(), path: z.string().min(1) })).max(LIST_MAX);
const tlsSchema = z.strictObject({
  interceptedPorts: z
    .array(port)
    .min(1)
    .max(INTERCEPTED_PORTS_MAX)
    .default([...DEFAULT_PORTS]),
  bypass: strings.default([]),
  verifyUpstream: z.boolean().default(true),
  scopedVerifyUpstream: scopedVerify.default([]),
  upstreamCaCertPaths: z.array(z.string().min(1)).max(LIST_MAX).default([]),
  scopedUpstreamCaCerts: scopedPaths.default([]),
  interceptCaCertPath: z.string().min(1).optional(),
  interceptCaKeyPath: z.string().min(1).optional(),
  blockQuic: z.boolean().default(true),
});
const violation = z.enum(["block", "block-and-log", "block-and-terminate", "passthrough"]);
const rateLimiter = z.strictObject({ egress: limiter.optional(), ingress: limiter.optional() });
const connections = z.int().min(1).max(CONNECTIONS_MAX);

/** The fields of {@linkcode EgressOptions}. */
export const egressShape = {
  ...policyShape,
  secrets: secretsSchema.optional(),
  secretViolation: violation.optional(),
  dns: dnsSchema.optional(),
  tls: z.union([z.boolean(), tlsSchema]).optional(),
  rateLimiter: rateLimiter.optional(),
  maxConnections: connections.optional(),
};

/** What is stored of it. */
export const storedEgressSchema = z.object({
  policy: policySchema,
  dns: dnsSchema,
  tls: tlsSchema.optional(),
  secrets: storedSecretsSchema,
  secretViolation: violation,
  rateLimiter,
  maxConnections: connections,
});

/** Options that were checked: what is stored, and the values that are not. */
export interface CheckedEgress {
  readonly stored: StoredEgress;
  readonly secretValues: SecretValues;
}

type ParsedEgress = z.output<z.ZodObject<typeof egressShape>>;

/**
 * Checks what no schema can, and fills in defaults. Files are not read yet.
 *
 * @param hasHooks Whether functions are to see requests: TLS is read then, unless the options say otherwise.
 * @throws {InvalidConfigError} naming each field that is wrong.
 */
export function checkEgress(options: ParsedEgress, field: string, hasHooks = false): CheckedEgress {
  const { stored: secrets, values } = checkSecrets(options.secrets ?? {}, `${field}.secrets`);
  const tls = checkTls(options.tls ?? (hasHooks || undefined), secrets.length > 0, `${field}.tls`);
  const dns: DnsConfig = options.dns ?? dnsSchema.parse({});
  checkNameServers(dns.nameservers, `${field}.dns.nameservers`);
  const interceptedPorts = tls?.interceptedPorts ?? DEFAULT_PORTS;
  const policy: NetworkPolicy = checkPolicyOptions(options, { secrets, interceptedPorts }, field);
  return {
    stored: {
      policy,
      dns,
      ...(tls === undefined ? {} : { tls }),
      secrets,
      secretViolation: options.secretViolation ?? "block-and-log",
      maxConnections: options.maxConnections ?? CONNECTIONS_DEFAULT,
      rateLimiter: options.rateLimiter ?? {},
    },
    secretValues: values,
  };
}

function checkTls(
  given: boolean | z.output<typeof tlsSchema> | undefined,
  hasSecrets: boolean,
  field: string,
): StoredTls | undefined {
  if (given === false && hasSecrets)
    throw new InvalidConfigError([{ field, problem: "must not be false with secrets, which need it" }]);
  if (given === false || (given === undefined && !hasSecrets)) return undefined;
  const tls = typeof given === "object" ? given : tlsSchema.parse({});
  const issues: ConfigIssue[] = [
    ...tls.bypass.flatMap((pattern, index) => patternIssues(pattern, `${field}.bypass.${index}`)),
    ...[...tls.scopedVerifyUpstream.entries()].flatMap(([index, { pattern }]) =>
      patternIssues(pattern, `${field}.scopedVerifyUpstream.${index}.pattern`),
    ),
    ...[...tls.scopedUpstreamCaCerts.entries()].flatMap(([index, { pattern }]) =>
      patternIssues(pattern, `${field}.scopedUpstreamCaCerts.${index}.pattern`),
    ),
  ];
  if ((tls.interceptCaCertPath === undefined) !== (tls.interceptCaKeyPath === undefined)) {
    const missing = tls.interceptCaCertPath === undefined ? "interceptCaCertPath" : "interceptCaKeyPath";
    issues.push({ field: `${field}.${missing}`, problem: "must be given: certificate and key go together" });
  }
  if (issues.length > 0) throw new InvalidConfigError(issues);
  return {
    ...tls,
    // The record is read by processes that run elsewhere.
    upstreamCaCertPaths: tls.upstreamCaCertPaths.map((path) => resolve(path)),
    scopedUpstreamCaCerts: tls.scopedUpstreamCaCerts.map(({ pattern, path }) => ({
      pattern,
      path: resolve(path),
    })),
    ...(tls.interceptCaCertPath === undefined
      ? {}
      : { interceptCaCertPath: resolve(tls.interceptCaCertPath) }),
    ...(tls.interceptCaKeyPath === undefined ? {} : { interceptCaKeyPath: resolve(tls.interceptCaKeyPath) }),
  };
}

function patternIssues(pattern: string, field: string): ConfigIssue[] {
  if (pattern === "*" || parseHostName(pattern.replace(/^\*\./, "")) !== undefined) return [];
  const problem = `must be a name, or *. and a name: current value is ${JSON.stringify(pattern).slice(0, 80)}`;
  return [{ field, problem }];
}

/** @throws {InvalidConfigError} naming each entry that is not an address. */
export function checkNameServers(servers: readonly string[], field: string): void {
  const issues = servers.flatMap((server, index) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(server) ?? [];
    const address = isIP(server) === 0 ? (bracketed ?? plain ?? "") : server;
    const isPort = port === undefined || (Number(port) >= 1 && Number(port) <= 65_535);
    if (isIP(address) !== 0 && isPort) return [];
    const shown = JSON.stringify(server).slice(0, 80);
    const problem = `must be an address, or an address and a port: current value is ${shown}`;
    return [{ field: `${field}.${index}`, problem }];
  });
  if (issues.length > 0) throw new InvalidConfigError(issues);
}
