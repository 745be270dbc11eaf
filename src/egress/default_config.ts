/**
 * What decides about a guest's connections where nothing was said about them.
 *
 * @module
 */
import type { EgressConfig } from "./config.ts";
import { policies } from "./policy/factories.ts";

/** TCP connections of one sandbox at once, unless the caller says otherwise. */
export const CONNECTIONS_DEFAULT = 256;
/** The most that a caller may ask for: what the agent has places for. */
export const CONNECTIONS_MAX = 4096;
const DNS_QUERY_TIMEOUT_MS = 5_000;

/** Everything is allowed but what a rule has to name: this machine, and metadata services. */
export function defaultEgressConfig(): EgressConfig {
  return {
    policy: policies.allowAll(),
    dns: { nameservers: [], rebindProtection: true, queryTimeoutMs: DNS_QUERY_TIMEOUT_MS },
    secrets: [],
    secretViolation: "block-and-log",
    maxConnections: CONNECTIONS_DEFAULT,
    rateLimiter: {},
  };
}
