/** The authority that a guest trusts, and the certificates that it signs while connections arrive. @module */
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import type { ConfigIssue } from "../../base/errors.ts";
import { authorityCertificate, canSign, type Issuer, serverCertificate, subjectOf } from "./certificate.ts";

const DAY_MS = 24 * 60 * 60 * 1000;
/** A guest's clock may be behind: certificates count from before they are made. */
const CLOCK_SKEW_MS = 2 * DAY_MS;
const AUTHORITY_MS = 3650 * DAY_MS;
/** Short, because they are made again whenever one is needed; more than any sandbox is paused for. */
const LEAF_MS = 90 * DAY_MS;
/** A certificate that is valid for less than this is made again. */
const LEAF_LEFT_MS_MIN = 30 * DAY_MS;
/** Contexts at once, of about 20 KiB. A guest that asks for more names has the oldest made again, in under a millisecond. */
const CONTEXTS_MAX = 256;
const RSA_BITS_MIN = 2048;

/** A certificate with its key, both as PEM texts. */
export interface AuthorityPems {
  /** The certificate; those that lead from it to a root may follow. */
  readonly certificate: string;
  readonly key: string;
}

/** Makes an authority with a new EC key. Its name ends with a part of the key's identifier, so that two can be told apart. */
export function createAuthority(nowMs: number = Date.now()): AuthorityPems {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const mark = crypto.randomUUID().slice(0, 8);
  const certificate = authorityCertificate(`microsandbox CA ${mark}`, privateKey, {
    notBefore: new Date(nowMs - CLOCK_SKEW_MS),
    notAfter: new Date(nowMs + AUTHORITY_MS),
  });
  return { certificate, key: privateKey.export({ format: "pem", type: "pkcs8" }) };
}

/** What the two texts of an authority are called where a user gave them. */
export interface AuthorityFields {
  readonly certificate: string;
  readonly key: string;
}

/** Whether a key and certificate can sign for a guest: every problem, by the name of its field. Empty if they can. */
export function authorityIssues(
  pems: AuthorityPems,
  fields: AuthorityFields,
  nowMs: number = Date.now(),
): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const certificate = parsed(() => new X509Certificate(certificatesIn(pems.certificate)[0] ?? ""));
  const key = parsed(() => createPrivateKey(pems.key));
  if (certificate === undefined)
    issues.push({ field: fields.certificate, problem: "must be a certificate in PEM" });
  else if (!certificate.ca)
    issues.push({ field: fields.certificate, problem: "must be the certificate of an authority (CA:TRUE)" });
  else if (Date.parse(certificate.validTo) <= nowMs)
    issues.push({
      field: fields.certificate,
      problem: `is no longer valid: it ended at ${certificate.validTo}`,
    });
  else if (Date.parse(certificate.validFrom) > nowMs)
    issues.push({ field: fields.certificate, problem: `is not valid before ${certificate.validFrom}` });
  if (key === undefined)
    issues.push({ field: fields.key, problem: "must be a private key in PEM, without a password" });
  else if (!canSign(key) || (key.asymmetricKeyDetails?.modulusLength ?? RSA_BITS_MIN) < RSA_BITS_MIN)
    issues.push({
      field: fields.key,
      problem: `must be an EC key (P-256, P-384) or an RSA key of at least ${RSA_BITS_MIN} bits`,
    });
  else if (certificate !== undefined && !certificate.checkPrivateKey(key))
    issues.push({ field: fields.key, problem: `must be the key of ${fields.certificate}` });
  return issues;
}

/** When the certificate of an authority ends, in milliseconds since 1970. */
export function authorityEndMs({ certificate }: AuthorityPems): number {
  return Date.parse(new X509Certificate(certificate).validTo);
}

interface CachedContext {
  readonly context: SecureContext;
  readonly endMs: number;
}

/**
 * Signs certificates for the names that a guest asks for. All of them share one key, which lives as long as this.
 *
 * @example
 * ```text
 * const authority = new Authority(createAuthority());
 * const socket = new TLSSocket(duplex, { isServer: true, secureContext: authority.contextFor("api.example") });
 * ```
 */
export class Authority {
  readonly #issuer: Issuer;
  readonly #endMs: number;
  /** What is sent with a certificate, so that a client finds the way to its root. */
  readonly #chain: readonly string[];
  readonly #leafKey: KeyObject;
  readonly #leafKeyPem: string;
  /** The one that was used last stands last. */
  readonly #contexts = new Map<string, CachedContext>();

  /** @param pems Known to have no {@linkcode authorityIssues}. */
  constructor(pems: AuthorityPems) {
    const certificate = new X509Certificate(certificatesIn(pems.certificate)[0]!);
    const { name, keyIdentifier } = subjectOf(certificate.raw);
    this.#issuer = { name, keyIdentifier, key: createPrivateKey(pems.key) };
    this.#endMs = Date.parse(certificate.validTo);
    // A client has the root, and needs what lies between.
    this.#chain = certificate.subject === certificate.issuer ? [] : certificatesIn(pems.certificate);
    this.#leafKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    this.#leafKeyPem = this.#leafKey.export({ format: "pem", type: "pkcs8" }).toString();
  }

  /** How many contexts are kept. */
  get contexts(): number {
    return this.#contexts.size;
  }

  /** A certificate for `host`, a DNS name or an address, and those between it and the root. */
  certificateFor(host: string, nowMs: number = Date.now()): string {
    const leaf = serverCertificate(host, this.#leafKey, this.#issuer, {
      notBefore: new Date(nowMs - CLOCK_SKEW_MS),
      notAfter: new Date(Math.min(nowMs + LEAF_MS, this.#endMs)),
    });
    return [leaf, ...this.#chain].join("");
  }

  /** What a TLS server for `host` needs. Made when it is asked for first, and kept. */
  contextFor(host: string, nowMs: number = Date.now()): SecureContext {
    const cached = this.#contexts.get(host);
    this.#contexts.delete(host);
    const kept =
      cached !== undefined && cached.endMs - nowMs > LEAF_LEFT_MS_MIN
        ? cached
        : this.#newContext(host, nowMs);
    this.#contexts.set(host, kept);
    const [oldest] = this.#contexts.keys();
    if (this.#contexts.size > CONTEXTS_MAX && oldest !== undefined) this.#contexts.delete(oldest);
    return kept.context;
  }

  #newContext(host: string, nowMs: number): CachedContext {
    const context = createSecureContext({ key: this.#leafKeyPem, cert: this.certificateFor(host, nowMs) });
    // One that the authority cuts short is not made again and again.
    return { context, endMs: nowMs + LEAF_MS };
  }
}

/** The certificates in a PEM text, each with a line feed at its end. */
export function certificatesIn(pem: string): string[] {
  const found = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return found.map((text) => `${text}\n`);
}

function parsed<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch {
    return undefined; // the issue says what it must be; the library's own message would add nothing, or show the text
  }
}
