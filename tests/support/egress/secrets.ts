/** Secrets for tests. @module */
import type { SecretConfig } from "../../../src/egress/config.ts";

/** A secret with the defaults of the known SDK, for `api.example`. Its value is `value-of-NAME`. */
export function secret(envVar: string, changes: Partial<SecretConfig> = {}): SecretConfig {
  return {
    envVar,
    placeholder: `$MSB_${envVar}`,
    value: `value-of-${envVar}`,
    allowedHosts: ["api.example"],
    allowedHostPatterns: [],
    allowAnyHost: false,
    requireTlsIdentity: true,
    injection: { headers: true, basicAuth: true, queryParams: false, body: false },
    ...changes,
  };
}
