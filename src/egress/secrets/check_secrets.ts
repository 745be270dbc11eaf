/** Checks secrets before a sandbox is made with them. No message shows a value. @module */
import { isIP } from "node:net";
import type { ConfigIssue } from "../../base/errors.ts";
import type { SecretConfig } from "../config.ts";
import { parseHostName } from "../tls/host_name.ts";

/** Secrets of a sandbox. Each takes a search through everything that the guest sends. */
export const SECRETS_MAX = 64;
/** A header of this size passes few servers. */
const VALUE_BYTES_MAX = 16 * 1024;
/** A shorter one would be found by accident. */
const PLACEHOLDER_CHARS_MIN = 4;
const PLACEHOLDER_CHARS_MAX = 256;

/** What a guest sees by default in place of a secret. @param envVar Name of the variable in the guest. */
export function defaultPlaceholder(envVar: string): string {
  return `$MSB_${envVar}`;
}

/**
 * Every problem of a list of secrets, by the name of its field.
 *
 * @param field What the list is called, e.g. `"network.secrets"`.
 */
export function secretIssues(secrets: readonly SecretConfig[], field: string): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  if (secrets.length > SECRETS_MAX)
    issues.push({
      field,
      problem: `must have at most ${SECRETS_MAX} secrets: current value has ${secrets.length}`,
    });
  for (const [index, secret] of secrets.entries()) {
    const own = `${field}[${index}]`;
    const earlier = secrets.slice(0, index);
    issues.push(...nameIssues(secret, own), ...valueIssues(secret, own), ...hostIssues(secret, own));
    if (earlier.some(({ envVar }) => envVar === secret.envVar))
      issues.push({ field: `${own}.envVar`, problem: `is given twice: current value is ${secret.envVar}` });
    if (earlier.some(({ placeholder }) => placeholder === secret.placeholder))
      issues.push({
        field: `${own}.placeholder`,
        problem: `is given twice: current value is ${secret.placeholder}`,
      });
    if (secrets.some(({ value }) => value.includes(secret.placeholder)))
      issues.push({ field: `${own}.placeholder`, problem: "must not be a part of a secret's value" });
  }
  return issues;
}

function nameIssues({ envVar, placeholder }: SecretConfig, own: string): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,254}$/.test(envVar))
    issues.push({ field: `${own}.envVar`, problem: "must be the name of a variable: letters, digits and _" });
  if (!/^[\x21-\x7e]+$/.test(placeholder))
    issues.push({ field: `${own}.placeholder`, problem: "must be visible ASCII characters" });
  if (placeholder.length < PLACEHOLDER_CHARS_MIN || placeholder.length > PLACEHOLDER_CHARS_MAX)
    issues.push({
      field: `${own}.placeholder`,
      problem: `must have ${PLACEHOLDER_CHARS_MIN} to ${PLACEHOLDER_CHARS_MAX} characters`,
    });
  return issues;
}

function valueIssues({ value, injection }: SecretConfig, own: string): ConfigIssue[] {
  const field = `${own}.value`;
  const bytes = Buffer.byteLength(value);
  if (value === "") return [{ field, problem: "must not be empty" }];
  if (bytes > VALUE_BYTES_MAX)
    return [{ field, problem: `must have at most ${VALUE_BYTES_MAX} bytes: current value has ${bytes}` }];
  const isForHeaders = injection.headers || injection.basicAuth;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
  if (isForHeaders && /[\x00-\x1f\x7f]/.test(value))
    return [
      {
        field,
        problem:
          "must not hold control characters, which would end a header: is there a line feed at its end?",
      },
    ];
  return [];
}

function hostIssues(secret: SecretConfig, own: string): ConfigIssue[] {
  const { allowedHosts, allowedHostPatterns, allowAnyHost } = secret;
  const issues: ConfigIssue[] = [];
  if (allowedHosts.length + allowedHostPatterns.length === 0 && !allowAnyHost)
    issues.push({
      field: `${own}.allowedHosts`,
      problem: "must name at least one host that may get the secret",
    });
  for (const host of allowedHosts)
    if (parseHostName(host) === undefined && isIP(host) === 0)
      issues.push({
        field: `${own}.allowedHosts`,
        problem: `must be names or addresses, without scheme, port and path: current value is ${JSON.stringify(host)}`,
      });
  for (const pattern of allowedHostPatterns)
    if (pattern !== "*" && parseHostName(pattern.replace(/^\*\./, "")) === undefined)
      issues.push({
        field: `${own}.allowedHostPatterns`,
        problem: `must be *. and a name, or *: current value is ${pattern}`,
      });
  return issues;
}
