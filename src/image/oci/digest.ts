/**
 * Content digests, `sha256:<64 hex digits>`, and checks of streams against them.
 *
 * Source: OCI Image Specification 1.1, descriptor.md, section "Digests".
 *
 * @module
 */
import { createHash, type Hash } from "node:crypto";
import { ImageDigestMismatchError } from "./errors.ts";

/** A digest in its canonical spelling. */
export type Digest = `sha256:${string}` | `sha512:${string}`;

const DIGEST_PATTERN = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Returns whether `text` is a digest that this library can check. */
export function isDigest(text: string): text is Digest {
  return DIGEST_PATTERN.test(text);
}

/** Returns the SHA-256 digest of `bytes`. */
export function sha256Digest(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

/**
 * Returns the digest of `bytes` by the algorithm of `expected`. If the two differ, `bytes` is not what was expected.
 */
export function digestLike(expected: Digest, bytes: Uint8Array): string {
  const algorithm = expected.slice(0, expected.indexOf(":"));
  return `${algorithm}:${createHash(algorithm).update(bytes).digest("hex")}`;
}

/** Returns the digest as a file name, without the colon, which some file systems refuse. */
export function digestFileName(digest: Digest): string {
  return digest.replace(":", "-");
}

/** Returns the digest from which {@linkcode digestFileName} made `name`, or `undefined` for any other name. */
export function digestOfFileName(name: string): Digest | undefined {
  const digest = name.replace("-", ":");
  return isDigest(digest) ? digest : undefined;
}

/** Hashes a stream and checks at the end whether it matches the expected digest. */
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

  /** @throws {ImageDigestMismatchError} The bytes do not match. */
  finish(): void {
    const algorithm = this.#expected.slice(0, this.#expected.indexOf(":"));
    const actual = `${algorithm}:${this.#hash.digest("hex")}`;
    if (actual !== this.#expected) throw new ImageDigestMismatchError(this.#subject, this.#expected, actual);
  }
}

/** Passes `source` through. Throws at its end if the digest does not match, or earlier if there are too many bytes. */
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
