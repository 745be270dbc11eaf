/**
 * Secrets that a caller gives a sandbox: who may get them, and where their values come from. This module never
 * passes values to a place that stores them.
 *
 * @module
 */
import { z } from "zod";
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import type { SecretConfig } from "../egress/config.ts";
import { defaultPlaceholder, secretIssues } from "../egress/secrets/check_secrets.ts";

/** Where the value of a secret is read from, each time that the sandbox starts. */
export interface SecretSource {
  /** From the environment. */
  readonly kind: "env";
  /** A variable of the process that starts the sandbox. */
  readonly var: string;
}

/** Makes sources of secrets. */
export const SecretSource = {
  /** A variable of the process that starts the sandbox, read at each start: `SecretSource.env("GH_TOKEN")`. */
  env: (variable: string): SecretSource => ({ kind: "env", var: variable }),
} as const;

/** Where in a request a placeholder is replaced. */
export interface SecretInjectionOptions {
  /** In the values of header fields. @default {true} */
  readonly headers?: boolean | undefined;
  /** In user name and password of basic authentication. @default {true} */
  readonly basicAuth?: boolean | undefined;
  /** In the query of the URL. @default {false} */
  readonly queryParams?: boolean | undefined;
  /** In the body. @default {false} */
  readonly body?: boolean | undefined;
}

/** One secret, by the name of its variable in the guest. */
export interface SecretOptions {
  /** Names and addresses of the hosts that may get it; `*.` and a name for all names below it. At least one. */
  readonly hosts?: readonly string[] | undefined;
  /** Its value. It is not stored: every later start needs it again. */
  readonly value?: string | undefined;
  /**
   * Where its value is read from at each start: `SecretSource.env("OTHER_NAME")`, or `"env"` for the variable of this process that
   * has its name.
   *
   * @default {"env"}
   */
  readonly from?: SecretSource | "env" | undefined;
  /** What the guest has instead of the value: 4 to 256 visible ASCII characters. @default `$MSB_` and its name */
  readonly placeholder?: string | undefined;
  /** Gives it to every host that the policy allows: the guest can then read it through its own server. @default {false} */
  readonly allowAnyHost?: boolean | undefined;
  /** Whether a host must prove its name by TLS before it gets the secret. @default {true} */
  readonly requireTlsIdentity?: boolean | undefined;
  /** Where in a request it is put in. @default header fields and basic authentication */
  readonly injection?: SecretInjectionOptions | undefined;
}

/** A secret as it is stored: all but its value. */
export interface StoredSecret extends Omit<SecretConfig, "value"> {
  /** `given`: by value, which nothing keeps. */
  readonly source: SecretSource | { readonly kind: "given" };
}

/** Values of secrets, by the names of their variables. */
export type SecretValues = Readonly<Record<string, string>>;

const secretSource = z.strictObject({ kind: z.literal("env"), var: z.string().min(1) });
/** Errors do not name its fields: if a caller gives the whole environment, no message shows its names. */
const givenSource = z.custom<SecretSource | "env">(
  (value) => value === "env" || secretSource.safeParse(value).success,
  'must be "env" for the variable of that name, or SecretSource.env("OTHER_NAME")',
);
const injectionShape = {
  headers: z.boolean(),
  basicAuth: z.boolean(),
  queryParams: z.boolean(),
  body: z.boolean(),
};

/** A secret as callers give it. */
export const secretSchema = z.strictObject({
  hosts: z.array(z.string()).optional(),
  value: z.string().optional(),
  from: givenSource.optional(),
  placeholder: z.string().optional(),
  allowAnyHost: z.boolean().optional(),
  requireTlsIdentity: z.boolean().optional(),
  injection: z.strictObject(injectionShape).partial().optional(),
});

/** Secrets as callers give them. */
export const secretsSchema = z.record(z.string(), secretSchema);

/** Secrets as they are stored. */
export const storedSecretsSchema = z.array(
  z.object({
    envVar: z.string(),
    placeholder: z.string(),
    allowedHosts: z.array(z.string()),
    allowedHostPatterns: z.array(z.string()),
    allowAnyHost: z.boolean(),
    requireTlsIdentity: z.boolean(),
    injection: z.object(injectionShape),
    source: z.union([secretSource, z.object({ kind: z.literal("given") })]),
  }),
);

/** Stands in for a value that is not known yet: it passes every check. */
const UNKNOWN_VALUE = "\u00b7";

/**
 * Checks secrets, and separates their values from the rest.
 *
 * @throws {InvalidConfigError} naming each field that is wrong; no message shows a value.
 */
export function checkSecrets(
  secrets: Readonly<Record<string, SecretOptions>>,
  field: string,
): { readonly stored: readonly StoredSecret[]; readonly values: SecretValues } {
  const entries = Object.entries(secrets);
  const issues: ConfigIssue[] = [];
  for (const [name, { value, from, hosts = [] }] of entries) {
    if (value !== undefined && from !== undefined)
      issues.push({ field: `${field}.${name}.from`, problem: "must not be there beside value" });
    if (hosts.includes("*"))
      issues.push({ field: `${field}.${name}.hosts`, problem: "must not have *: set allowAnyHost instead" });
  }
  if (issues.length > 0) throw new InvalidConfigError(issues);
  const stored = entries.map(([name, secret]) => storedOf(name, secret));
  const values = Object.fromEntries(
    entries.flatMap(([name, { value }]) => (value === undefined ? [] : [[name, value] as const])),
  );
  checkWhole(
    stored.map((secret) => ({ ...secret, value: values[secret.envVar] ?? UNKNOWN_VALUE })),
    field,
  );
  return { stored, values };
}

/**
 * The secrets of a start, with their values.
 *
 * @param given Values that the caller gives at this start. They override a source.
 * @throws {InvalidConfigError} if a value is missing or invalid.
 */
export function resolveSecrets(
  stored: readonly StoredSecret[],
  given: SecretValues,
  environment: Readonly<Record<string, string | undefined>>,
  field: string,
): SecretConfig[] {
  const names = new Set(stored.map(({ envVar }) => envVar));
  const unknown = Object.keys(given).filter((name) => !names.has(name));
  const issues: ConfigIssue[] = unknown.map((name) => ({
    field: `${field}.${name}`,
    problem: "is not a secret of this sandbox",
  }));
  const hints = new Set<string>();
  const secrets = stored.map(({ source, ...secret }): SecretConfig => {
    const name = secret.envVar;
    const value = given[name] ?? (source.kind === "env" ? environment[source.var] : undefined);
    if (value !== undefined) return { ...secret, value };
    if (source.kind === "env") {
      const problem = `is missing: the environment variable ${source.var} is not set`;
      issues.push({ field: `${field}.${name}.from`, problem });
      hints.add(`set ${source.var} in the environment of this process, or give the secret by value`);
    } else {
      issues.push({ field: `${field}.${name}.value`, problem: "must be given again: values are not stored" });
      hints.add(`start({ secrets: { ${name}: … } }); or create it with from: SecretSource.env(…)`);
    }
    return { ...secret, value: UNKNOWN_VALUE };
  });
  if (issues.length > 0) throw new InvalidConfigError(issues, { hint: [...hints].join("; ") || undefined });
  checkWhole(secrets, field);
  return secrets;
}

function storedOf(name: string, secret: SecretOptions): StoredSecret {
  const { hosts = [], value, from, placeholder, allowAnyHost, requireTlsIdentity, injection } = secret;
  return {
    envVar: name,
    placeholder: placeholder ?? defaultPlaceholder(name),
    allowedHosts: hosts.filter((host) => !host.startsWith("*.")),
    allowedHostPatterns: hosts.filter((host) => host.startsWith("*.")),
    allowAnyHost: allowAnyHost ?? false,
    requireTlsIdentity: requireTlsIdentity ?? true,
    injection: {
      headers: injection?.headers ?? true,
      basicAuth: injection?.basicAuth ?? true,
      queryParams: injection?.queryParams ?? false,
      body: injection?.body ?? false,
    },
    source:
      value !== undefined ? { kind: "given" } : typeof from === "object" ? from : SecretSource.env(name),
  };
}

/** The check of a list names fields by index; callers know secrets by name. */
function checkWhole(secrets: readonly SecretConfig[], field: string): void {
  const issues = secretIssues(secrets, field).map((issue) => {
    const [, index, part = ""] = /\[(\d+)\]\.(\w+)$/.exec(issue.field) ?? [];
    const name = index === undefined ? undefined : secrets[Number(index)]?.envVar;
    if (name === undefined) return issue;
    const option = { envVar: "", allowedHosts: ".hosts", allowedHostPatterns: ".hosts" }[part] ?? `.${part}`;
    return { field: `${field}.${name}${option}`, problem: issue.problem };
  });
  if (issues.length > 0) throw new InvalidConfigError(issues);
}

/** The variables of a sandbox, with placeholders for its secrets. @throws {InvalidConfigError} for one that is there twice. */
export function withPlaceholders(
  env: Readonly<Record<string, string>>,
  secrets: readonly StoredSecret[],
): Readonly<Record<string, string>> {
  const twice = secrets.filter(({ envVar }) => Object.hasOwn(env, envVar));
  if (twice.length > 0)
    throw new InvalidConfigError(
      twice.map(({ envVar }) => ({
        field: `env.${envVar}`,
        problem: "must not be there, as it is the variable of a secret",
      })),
    );
  return { ...env, ...Object.fromEntries(secrets.map(({ envVar, placeholder }) => [envVar, placeholder])) };
}
