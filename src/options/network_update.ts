/**
 * Changes to the network of a sandbox that runs, as callers give them, checked.
 *
 * @module
 */
import { z } from "zod";
import { InvalidConfigError } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";
import type { EgressReport, EgressUpdate, SecretUpdate } from "../egress/update.ts";
import { checkNameServers, DEFAULT_PORTS, type EgressOptions, egressShape } from "./egress_options.ts";
import { checkPolicyOptions, type PolicyOptions } from "./policy_options.ts";
import {
  checkSecrets,
  resolveSecrets,
  type SecretOptions,
  type StoredSecret,
  secretSchema,
} from "./secret_options.ts";

/** Changes to a network from now on. What is left out stays as it is. */
export interface NetworkUpdateOptions
  extends PolicyOptions,
    Pick<EgressOptions, "secretViolation" | "dns" | "rateLimiter" | "maxConnections"> {
  /**
   * Secrets to add or to change, by their names; `null` removes one. For an existing secret, what is left out stays, including
   * its value: `{ GH_TOKEN: { value: "…" } }` gives it another value. A program that was started before has no
   * variable for an added secret: its placeholder is `$MSB_` and its name.
   */
  readonly secrets?: Readonly<Record<string, SecretOptions | null>> | undefined;
}

const { allow, deny, rules, policy, secretViolation, dns, rateLimiter, maxConnections } = egressShape;
const schema = z.strictObject({
  network: z.strictObject({
    ...{ allow, deny, rules, policy, secretViolation, dns, rateLimiter, maxConnections },
    secrets: z.record(z.string(), secretSchema.nullable()).optional(),
  }),
});

/**
 * Checks changes against what is in force.
 *
 * @param environment Where secrets that are added come from, if no value is given.
 * @throws {InvalidConfigError} naming each field that is wrong.
 */
export function parseNetworkUpdate(
  options: NetworkUpdateOptions,
  now: EgressReport,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): EgressUpdate {
  const { network } = parseConfig(schema, { network: options }, "options");
  const { secrets: changes = {}, dns, secretViolation, rateLimiter, maxConnections, ...lists } = network;
  const secrets = updateSecrets(changes, now, environment);
  if (dns !== undefined) checkNameServers(dns.nameservers, "network.dns.nameservers");
  const hasRules = Object.values(lists).some((value) => value !== undefined);
  const interceptedPorts = now.tls?.interceptedPorts ?? DEFAULT_PORTS;
  return {
    ...(hasRules
      ? { policy: checkPolicyOptions(lists, { secrets: secrets.all, interceptedPorts }, "network") }
      : {}),
    ...(dns === undefined ? {} : { dns }),
    ...(secretViolation === undefined ? {} : { secretViolation }),
    ...(rateLimiter === undefined ? {} : { rateLimiter }),
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(secrets.changed.length > 0 ? { secrets: secrets.changed } : {}),
    ...(secrets.removed.length > 0 ? { removedSecrets: secrets.removed } : {}),
  };
}

interface SecretChanges {
  /** All secrets after the change. */
  readonly all: readonly StoredSecret[];
  readonly changed: readonly SecretUpdate[];
  readonly removed: readonly string[];
}

function updateSecrets(
  changes: Readonly<Record<string, z.output<typeof secretSchema> | null>>,
  now: EgressReport,
  environment: Readonly<Record<string, string | undefined>>,
): SecretChanges {
  const field = "network.secrets";
  const present = new Map(now.secrets.map((secret) => [secret.envVar, optionsOf(secret)]));
  const removed = Object.keys(changes).filter((name) => changes[name] === null);
  const unknown = removed.filter((name) => !present.has(name));
  if (unknown.length > 0)
    throw new InvalidConfigError(
      unknown.map((name) => ({ field: `${field}.${name}`, problem: "is not a secret of this sandbox" })),
    );
  const given = Object.entries(changes).flatMap(([name, change]) =>
    change === null ? [] : [[name, change] as const],
  );
  if (given.length > 0 && now.tls === undefined)
    throw new InvalidConfigError(
      [{ field, problem: "need TLS that is read on the way, which this sandbox does not have" }],
      {
        hint: "create it with tls: true, or with the secrets",
      },
    );
  const after = new Map<string, SecretOptions>([...present].filter(([name]) => !removed.includes(name)));
  for (const [name, change] of given) {
    const before = after.get(name);
    after.set(name, { ...before, ...change, injection: { ...before?.injection, ...change.injection } });
  }
  const { stored: all, values } = checkSecrets(Object.fromEntries(after), field);
  const kept = new Set(
    given.flatMap(([name, { value, from }]) =>
      present.has(name) && value === undefined && from === undefined ? [name] : [],
    ),
  );
  const changedNames = new Set(given.map(([name]) => name));
  const read = all.filter(({ envVar }) => changedNames.has(envVar) && !kept.has(envVar));
  const moved = all.filter(({ envVar }) => kept.has(envVar)).map(({ source: _source, ...secret }) => secret);
  return { all, changed: [...moved, ...resolveSecrets(read, values, environment, field)], removed };
}

/** A secret as a caller would give it; where its value comes from is not known any more. */
function optionsOf(secret: EgressReport["secrets"][number]): SecretOptions {
  const { allowedHosts, allowedHostPatterns, placeholder, allowAnyHost, requireTlsIdentity, injection } =
    secret;
  const hosts = [...allowedHosts, ...allowedHostPatterns];
  return { hosts, placeholder, allowAnyHost, requireTlsIdentity, injection };
}
