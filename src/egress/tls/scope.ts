/** Which connections are read, and how each server is verified. @module */
import type { TlsConfig } from "../config.ts";
import { matchesHostPattern } from "./host_name.ts";

/** Whether QUIC to this UDP port is refused, so that a client falls back to TLS over TCP, which can be read. */
export function blocksQuic(tls: TlsConfig | undefined, port: number): boolean {
  return tls?.blockQuic === true && tls.interceptedPorts.includes(port);
}

/** Whether the TLS of a host passes unread. @param host A name in lower case, or an address. */
export function isBypassed(tls: TlsConfig, host: string): boolean {
  return tls.bypass.some((pattern) => matchesHostPattern(pattern, host));
}

/** How a server is verified. */
export interface Verification {
  readonly isVerified: boolean;
  /** PEM texts of given authorities, beside those of this machine. */
  readonly givenAuthorities: readonly string[];
}

/** How `host` is verified. Of several scopes the last that matches decides, as the last setter does. */
export function verificationOf(tls: TlsConfig, host: string): Verification {
  const scope = tls.scopedVerifyUpstream.findLast(({ pattern }) => matchesHostPattern(pattern, host));
  const given = tls.upstreamCaCerts.filter(
    ({ pattern }) => pattern === undefined || matchesHostPattern(pattern, host),
  );
  return { isVerified: scope?.verify ?? tls.verifyUpstream, givenAuthorities: given.map(({ pem }) => pem) };
}
