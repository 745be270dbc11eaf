/**
 * Makes X.509 certificates (RFC 5280): that of an authority, and those it signs for names.
 *
 * They are written here because packages for it bring twenty others and change the global `Reflect`. The form that is needed
 * is small and fixed, and the tests check it by OpenSSL's strict rules.
 *
 * @module
 */
import { createHash, createPublicKey, type KeyObject, randomBytes, sign } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { type Bytes, encodeUtf8 } from "../../base/bytes.ts";
import {
  bitString,
  contextTag,
  element,
  elementsOf,
  objectIdentifier,
  sequence,
  TAG,
  TRUE,
  time,
  unsignedInteger,
  utf8String,
} from "./der.ts";

const COMMON_NAME = "2.5.4.3";
const SUBJECT_KEY_IDENTIFIER = "2.5.29.14";
const KEY_USAGE = "2.5.29.15";
const SUBJECT_ALTERNATIVE_NAME = "2.5.29.17";
const BASIC_CONSTRAINTS = "2.5.29.19";
const AUTHORITY_KEY_IDENTIFIER = "2.5.29.35";
const EXTENDED_KEY_USAGE = "2.5.29.37";
const SERVER_AUTHENTICATION = "1.3.6.1.5.5.7.3.1";

/** Bits of key usage, with how many at the end of the byte are unused. */
const USAGE_DIGITAL_SIGNATURE = [0x80, 7] as const;
const USAGE_SIGN_CERTIFICATES_AND_LISTS = [0x06, 1] as const;

/** RFC 5280: a common name has at most 64 characters. */
const COMMON_NAME_CHARS_MAX = 64;
const SERIAL_BYTES = 16;

/** How a key signs: the identifier of the algorithm, and the digest that `node:crypto` is to use. */
interface SignatureAlgorithm {
  readonly identifier: Bytes;
  readonly digest: string;
}

const ALGORITHMS: Readonly<Record<string, SignatureAlgorithm>> = {
  prime256v1: { identifier: sequence(objectIdentifier("1.2.840.10045.4.3.2")), digest: "sha256" },
  secp384r1: { identifier: sequence(objectIdentifier("1.2.840.10045.4.3.3")), digest: "sha384" },
  rsa: {
    identifier: sequence(objectIdentifier("1.2.840.113549.1.1.11"), element(TAG.null)),
    digest: "sha256",
  },
};

/** What signs: a name, its key, and how certificates refer to the key. */
export interface Issuer {
  /** The subject of its certificate, encoded. */
  readonly name: Uint8Array;
  readonly key: KeyObject;
  readonly keyIdentifier: Uint8Array;
}

/** From when until when a certificate is valid. */
export interface Validity {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** Whether certificates can be signed with a private key: EC on P-256 or P-384, and RSA. */
export function canSign(key: KeyObject): boolean {
  return algorithmOf(key) !== undefined;
}

/** A certificate that an authority signs for itself. It may sign for names, and for no other authority. */
export function authorityCertificate(commonName: string, key: KeyObject, validity: Validity): string {
  const name = distinguishedName(commonName);
  const publicKey = publicKeyInfo(key);
  const keyIdentifier = keyIdentifierOf(publicKey);
  return signed({ name, key, keyIdentifier }, name, publicKey, validity, [
    extension(BASIC_CONSTRAINTS, true, sequence(TRUE, unsignedInteger(Uint8Array.of(0)))),
    extension(KEY_USAGE, true, usage(USAGE_SIGN_CERTIFICATES_AND_LISTS)),
    extension(SUBJECT_KEY_IDENTIFIER, false, element(TAG.octetString, keyIdentifier)),
  ]);
}

/** A certificate for a server. @param host A DNS name, or an address. */
export function serverCertificate(host: string, key: KeyObject, issuer: Issuer, validity: Validity): string {
  const name = distinguishedName(host.length <= COMMON_NAME_CHARS_MAX ? host : "microsandbox");
  return signed(issuer, name, publicKeyInfo(key), validity, [
    extension(BASIC_CONSTRAINTS, true, sequence()),
    extension(KEY_USAGE, true, usage(USAGE_DIGITAL_SIGNATURE)),
    extension(EXTENDED_KEY_USAGE, false, sequence(objectIdentifier(SERVER_AUTHENTICATION))),
    extension(SUBJECT_ALTERNATIVE_NAME, false, sequence(alternativeName(host))),
    extension(AUTHORITY_KEY_IDENTIFIER, false, sequence(contextTag(0, false, issuer.keyIdentifier))),
  ]);
}

/** The subject and the key identifier of a certificate in its encoded form. @throws {RangeError} if it is not a certificate. */
export function subjectOf(certificate: Uint8Array): { name: Uint8Array; keyIdentifier: Uint8Array } {
  const [outer] = elementsOf(certificate);
  const [toBeSigned] = elementsOf(outer?.content ?? new Uint8Array());
  // Version 1 leaves the version out; no authority has it.
  const [, , , , , subject, publicKey, ...rest] = elementsOf(toBeSigned?.content ?? new Uint8Array());
  if (subject === undefined || publicKey === undefined) throw new RangeError("not a certificate");
  const extensions = rest.find(({ tag }) => tag === 0xa3);
  return {
    name: subject.whole,
    keyIdentifier: statedKeyIdentifier(extensions?.content) ?? keyIdentifierOf(publicKey.whole),
  };
}

function statedKeyIdentifier(extensions: Uint8Array | undefined): Uint8Array | undefined {
  const wanted = Buffer.from(objectIdentifier(SUBJECT_KEY_IDENTIFIER));
  const [list] = elementsOf(extensions ?? new Uint8Array());
  for (const { content } of elementsOf(list?.content ?? new Uint8Array())) {
    const parts = elementsOf(content);
    if (parts[0] !== undefined && wanted.equals(parts[0].whole))
      return elementsOf(parts.at(-1)!.content)[0]?.content;
  }
  return undefined;
}

function signed(
  issuer: Issuer,
  subject: Uint8Array,
  publicKey: Uint8Array,
  { notBefore, notAfter }: Validity,
  extensions: readonly Uint8Array[],
): string {
  const algorithm = algorithmOf(issuer.key);
  if (algorithm === undefined) throw new TypeError("cannot sign certificates with a key of this kind");
  const serial = randomBytes(SERIAL_BYTES);
  serial[0] = (serial[0]! & 0x7f) | 0x40; // always positive, and of the same length
  const toBeSigned = sequence(
    contextTag(0, true, unsignedInteger(Uint8Array.of(2))), // version 3
    unsignedInteger(serial),
    algorithm.identifier,
    issuer.name,
    sequence(time(notBefore), time(notAfter)),
    subject,
    publicKey,
    contextTag(3, true, sequence(...extensions)),
  );
  const signature = sign(algorithm.digest, toBeSigned, issuer.key);
  return toPem("CERTIFICATE", sequence(toBeSigned, algorithm.identifier, bitString(signature)));
}

function algorithmOf(key: KeyObject): SignatureAlgorithm | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === "rsa") return ALGORITHMS["rsa"];
  const curve = details?.namedCurve;
  return type === "ec" && curve !== undefined && Object.hasOwn(ALGORITHMS, curve)
    ? ALGORITHMS[curve]
    : undefined;
}

function publicKeyInfo(key: KeyObject): Uint8Array {
  return createPublicKey(key).export({ format: "der", type: "spki" });
}

/** RFC 5280 section 4.2.1.2, method 1: the SHA-1 of the key's bits. It names the key and protects nothing. */
function keyIdentifierOf(publicKey: Uint8Array): Uint8Array {
  const [outer] = elementsOf(publicKey);
  const bits = elementsOf(outer!.content)[1]!.content.subarray(1);
  return createHash("sha1").update(bits).digest();
}

function distinguishedName(commonName: string): Bytes {
  return sequence(element(TAG.set, sequence(objectIdentifier(COMMON_NAME), utf8String(commonName))));
}

function extension(identifier: string, isCritical: boolean, value: Uint8Array): Bytes {
  const critical = isCritical ? [TRUE] : [];
  return sequence(objectIdentifier(identifier), ...critical, element(TAG.octetString, value));
}

function usage([bits, unusedBits]: readonly [number, number]): Bytes {
  return bitString(Uint8Array.of(bits), unusedBits);
}

function alternativeName(host: string): Bytes {
  if (isIPv4(host)) return contextTag(7, false, Uint8Array.from(host.split(".").map(Number)));
  if (isIPv6(host)) return contextTag(7, false, ipv6Bytes(host));
  return contextTag(2, false, encodeUtf8(host));
}

function ipv6Bytes(address: string): Uint8Array {
  // The URL parser writes an IPv4 tail as two groups.
  const text = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = text.split("::");
  const left = head.split(":").filter(Boolean);
  const right = (tail ?? "").split(":").filter(Boolean);
  const groups = [...left, ...new Array<string>(8 - left.length - right.length).fill("0"), ...right];
  return Uint8Array.from(
    groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff]),
  );
}

/** RFC 7468: 64 characters a line. */
function toPem(label: string, bytes: Uint8Array): string {
  const lines =
    Buffer.from(bytes)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ""].join("\n");
}
