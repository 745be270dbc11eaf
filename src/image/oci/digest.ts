/**
 * Content digests: `sha256:<64 hex digits>`, and checking a stream against one.
 *
 * Source: OCI Image Specification 1.1, descriptor.md, section "Digests".
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { ImageDigestMismatchError } from "./errors.ts";

/** A digest of a registered algorithm, in its one canonical spelling. */
export type Digest = `sha256:${string}` | `sha512:${string}`;

const DIGEST_PATTERN = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether `text` is a digest that this library can check. */
export function isDigest(text: string): text is Digest {
  return DIGEST_PATTERN.test(text);
}

/** The SHA-256 digest of bytes at hand. */
export function sha256Digest(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/** The digest of bytes at hand, by the algorithm of `expected`: equal to it, or they are not its bytes. */
export function digestLike(expected: Digest, bytes: Uint8Array): string {
  const algorithm = expected.slice(0, expected.indexOf(":"));
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

/** A digest as a file name: no colon, which some file systems refuse. */
export function digestFileName(digest: Digest): string {
  return digest.replace(":", "-");
}

/** The digest that {@linkcode digestFileName} was made from; `undefined` for any other name. */
export function digestOfFileName(name: string): Digest | undefined {
  const digest = name.replace("-", ":");
  return isDigest(digest) ? digest : undefined;
}

/** Hashes a stream and says in the end whether it was the one that was promised. */
export class DigestVerifier {
  readonly #hash: Hash;
  readonly #expected: Digest;
  readonly #subject: string;

  /** @param subject What errors call the bytes, e.g. `"layer 2"`. */
  constructor(expected: Digest, subject: string) {
    this.#expected = expected;
    this.#subject = subject;
    this.#hash = createHash(expected.slice(0, expected.indexOf(":")));
  }

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  /** @throws {ImageDigestMismatchError} The bytes are others. */
  finish(): void {
    const algorithm = this.#expected.slice(0, this.#expected.indexOf(":"));
    const actual = `${algorithm}:${this.#hash.digest("hex")}`;
    if (actual !== this.#expected) throw new ImageDigestMismatchError(this.#subject, this.#expected, actual);
  }
}

/** Passes `source` on, and throws at its end if it was not the promised bytes, or as soon as there are too many. */
export async function* verified(
  source: AsyncIterable<Uint8Array>,
  expected: { readonly digest: Digest; readonly sizeBytes?: number | undefined },
  subject: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const verifier = new DigestVerifier(expected.digest, subject);
  let received = 0;
  for await (const chunk of source) {
    received += chunk.length;
    if (expected.sizeBytes !== undefined && received > expected.sizeBytes) {
      throw new ImageDigestMismatchError(subject, `${expected.sizeBytes} bytes`, "more");
    }
    verifier.update(chunk);
    yield chunk;
  }
  if (expected.sizeBytes !== undefined && received !== expected.sizeBytes) {
    throw new ImageDigestMismatchError(subject, `${expected.sizeBytes} bytes`, `${received} bytes`);
  }
  verifier.finish();
}
