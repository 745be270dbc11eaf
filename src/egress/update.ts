/**
 * Changes to what decides about a sandbox's connections while it runs.
 *
 * @module
 */
import type { EgressConfig, SecretConfig, TlsConfig } from "./config.ts";

/** A secret whose value may stay what it is. */
export type SecretUpdate = Omit<SecretConfig, "value"> & { readonly value?: string | undefined };

/**
 * Changes from now on. The caller knows neither the values of other secrets nor the key that the guest trusts, so these stay
 * unless they are given.
 */
export interface EgressUpdate extends Partial<Omit<EgressConfig, "tls" | "secrets">> {
  /** If `caCert` and `caKey` are `undefined`, the earlier ones stay; `null` stops reading TLS. */
  readonly tls?:
    | (Omit<TlsConfig, "caCert" | "caKey"> & Partial<Pick<TlsConfig, "caCert" | "caKey">>)
    | null
    | undefined;
  /** Secrets that are added, or replace those of the same variable. */
  readonly secrets?: readonly SecretUpdate[] | undefined;
  /** Variables of secrets to remove. */
  readonly removedSecrets?: readonly string[] | undefined;
}

/**
 * The configuration after an update.
 *
 * @throws {Error} saying what is missing.
 */
export function applyEgressUpdate(current: EgressConfig, update: EgressUpdate): EgressConfig {
  const { tls, secrets = [], removedSecrets = [], ...others } = update;
  const changed = new Map(current.secrets.map((secret) => [secret.envVar, secret]));
  for (const name of removedSecrets) changed.delete(name);
  for (const secret of secrets) {
    const value = secret.value ?? changed.get(secret.envVar)?.value;
    if (value === undefined) throw new Error(`the secret ${secret.envVar} has no value`);
    changed.set(secret.envVar, { ...secret, value });
  }
  const { tls: before, ...kept } = current;
  const after = tls === undefined ? before : tls === null ? undefined : completeTls(tls, before);
  if (after === undefined && changed.size > 0) throw new Error("secrets need TLS that is read on the way");
  return {
    ...kept,
    ...others,
    ...(after === undefined ? {} : { tls: after }),
    secrets: [...changed.values()],
  };
}

/** What decides about a sandbox's connections, without what must stay in its host process. */
export interface EgressReport extends Omit<EgressConfig, "tls" | "secrets"> {
  /** Without its key. */
  readonly tls?: Omit<TlsConfig, "caKey"> | undefined;
  /** Without their values. */
  readonly secrets: readonly Omit<SecretConfig, "value">[];
  /** `client`: the process whose hooks see its requests carries the connections. `undefined`: the VM host process. */
  readonly servedBy?: "client" | undefined;
}

/** The configuration without keys and values. */
export function reportOf({ tls, secrets, ...others }: EgressConfig): EgressReport {
  const shown = secrets.map(({ value: _value, ...secret }) => secret);
  if (tls === undefined) return { ...others, secrets: shown };
  const { caKey: _key, ...readable } = tls;
  return { ...others, tls: readable, secrets: shown };
}

function completeTls(
  tls: Exclude<EgressUpdate["tls"], null | undefined>,
  before: TlsConfig | undefined,
): TlsConfig {
  const caCert = tls.caCert ?? before?.caCert;
  const caKey = tls.caKey ?? before?.caKey;
  if (caCert === undefined || caKey === undefined)
    throw new Error("the sandbox was started without an authority that its guest trusts");
  return { ...tls, caCert, caKey };
}
