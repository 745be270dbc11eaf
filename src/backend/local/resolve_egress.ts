/**
 * Turns a stored network into the configuration by which the VM host process decides. The process that starts the sandbox reads
 * values of secrets, certificates and keys here, and passes them to the VM host process only.
 *
 * @module
 */
import { readFileSync, statSync } from "node:fs";
import { KiB } from "../../base/bytes.ts";
import { type ConfigIssue, InvalidConfigError, messageOf } from "../../base/errors.ts";
import type { EgressConfig, TlsConfig } from "../../egress/config.ts";
import { type AuthorityPems, authorityIssues, certificatesIn } from "../../egress/tls/authority.ts";
import { openAuthority } from "../../egress/tls/authority_file.ts";
import { checkEgress, type StoredEgress, type StoredTls } from "../../options/egress_options.ts";
import type { StoredNetwork } from "../../options/network_options.ts";
import { resolveSecrets, type SecretValues } from "../../options/secret_options.ts";

/** A bundle of all authorities of a distribution has 250 KB. */
const PEM_BYTES_MAX = 1024 * KiB;

/** Input of a start. */
export interface EgressSources {
  readonly home: string;
  /** Values that were given by the caller. */
  readonly secretValues?: SecretValues | undefined;
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
}

/**
 * The configuration for the connections of a sandbox that is about to start; `undefined` if the VM host process carries none.
 *
 * @throws {InvalidConfigError} naming the field, if a secret has no value or a certificate cannot be read.
 */
export function resolveEgress(
  network: StoredNetwork,
  { home, secretValues = {}, environment = process.env }: EgressSources,
): EgressConfig | undefined {
  if (network.mode !== "user" || network.via === "passt") {
    resolveSecrets([], secretValues, environment, "secrets");
    return undefined;
  }
  const { tls, secrets, ...others } = network.egress ?? defaultEgress();
  return {
    ...others,
    secrets: resolveSecrets(secrets, secretValues, environment, "network.secrets"),
    ...(tls === undefined ? {} : { tls: resolveTls(tls, home) }),
  };
}

/** The rules of a sandbox of an older release, which stored the mode only: public addresses are allowed. */
function defaultEgress(): StoredEgress {
  return checkEgress({}, "network").stored;
}

function resolveTls(stored: StoredTls, home: string): TlsConfig {
  const { interceptCaCertPath, interceptCaKeyPath, ...tls } = stored;
  const { caCert, caKey } = authorityOf(interceptCaCertPath, interceptCaKeyPath, home);
  return { ...upstreamTls(tls), caCert, caKey };
}

/** {@linkcode TlsConfig} without the signing authority. @throws {InvalidConfigError} */
export function upstreamTls(
  stored: Omit<StoredTls, "interceptCaCertPath" | "interceptCaKeyPath">,
): Omit<TlsConfig, "caCert" | "caKey"> {
  const { upstreamCaCertPaths, scopedUpstreamCaCerts, ...tls } = stored;
  const field = "network.tls";
  return {
    ...tls,
    upstreamCaCerts: [
      ...upstreamCaCertPaths.map((path, index) => ({
        pem: readCertificates(path, `${field}.upstreamCaCertPaths.${index}`),
      })),
      ...scopedUpstreamCaCerts.map(({ pattern, path }, index) => ({
        pattern,
        pem: readCertificates(path, `${field}.scopedUpstreamCaCerts.${index}.path`),
      })),
    ],
  };
}

function authorityOf(
  certificatePath: string | undefined,
  keyPath: string | undefined,
  home: string,
): Pick<TlsConfig, "caCert" | "caKey"> {
  if (certificatePath === undefined || keyPath === undefined) return pemsOf(openAuthority(home));
  const fields = {
    certificate: "network.tls.interceptCaCertPath",
    key: "network.tls.interceptCaKeyPath",
  };
  const pems = {
    certificate: readText(certificatePath, fields.certificate),
    key: readText(keyPath, fields.key),
  };
  const issues = authorityIssues(pems, fields);
  if (issues.length > 0) throw new InvalidConfigError(issues);
  return pemsOf(pems);
}

function pemsOf({ certificate, key }: AuthorityPems): Pick<TlsConfig, "caCert" | "caKey"> {
  return { caCert: certificate, caKey: key };
}

function readCertificates(path: string, field: string): string {
  const certificates = certificatesIn(readText(path, field));
  if (certificates.length > 0) return certificates.join("");
  throw invalid(field, `must be a file with certificates in PEM: current value is ${JSON.stringify(path)}`);
}

function readText(path: string, field: string): string {
  try {
    const status = statSync(path);
    if (!status.isFile()) throw new Error("it is not a regular file");
    if (status.size <= PEM_BYTES_MAX) return readFileSync(path, "utf8");
  } catch (error) {
    throw invalid(field, `must be a file that can be read: ${messageOf(error)}`);
  }
  throw invalid(field, `must be a file of at most ${PEM_BYTES_MAX} bytes`);
}

function invalid(field: string, problem: string): InvalidConfigError {
  const issue: ConfigIssue = { field, problem };
  return new InvalidConfigError([issue]);
}
