/** What can go wrong between a reference and an image in the store. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../../base/errors.ts";
import { ImageError } from "../errors.ts";

/** The part of a reference that is wrong. */
export type ReferencePart = "reference" | "registry" | "repository" | "tag" | "digest";

/** Text that is no image reference. Code `"imageReferenceInvalid"`. */
export class ImageReferenceInvalidError extends ImageError {
  /** The text as it was given. */
  readonly reference: string;
  /** Which part of it is wrong. */
  readonly part: ReferencePart;

  constructor(reference: string, part: ReferencePart, problem: string, options?: MicrosandboxErrorOptions) {
    const subject = part === "reference" ? "it" : `the ${part}`;
    super("imageReferenceInvalid", `Bad image reference "${reference}": ${subject} ${problem}`, options);
    this.reference = reference;
    this.part = part;
  }
}

/** A registry could not be reached, or answered in a way that ends the pull. Code `"imageRegistry"`. */
export class ImageRegistryError extends ImageError {
  /** The address that was asked, without credentials and query. */
  readonly url: string;
  /** HTTP status of the answer; `undefined` where there was none. */
  readonly status: number | undefined;
  /** How long the registry asks callers to wait, where it said so. */
  readonly retryAfterMs: number | undefined;
  /** Whether asking again cannot help, as with a certificate that is not trusted. */
  readonly isFinal: boolean;

  constructor(
    url: string,
    problem: string,
    options: MicrosandboxErrorOptions & { status?: number; retryAfterMs?: number; isFinal?: boolean } = {},
  ) {
    const { status, retryAfterMs, isFinal = false, ...rest } = options;
    const address = withoutSecrets(url);
    super("imageRegistry", `Registry request to ${address} failed: ${problem}`, rest);
    this.url = address;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.isFinal = isFinal;
  }
}

/** A registry refused the credentials, or wants some and there are none. Code `"imageAuth"`. */
export class ImageAuthError extends ImageError {
  /** Host of the registry, as in references. */
  readonly registry: string;
  /** HTTP status of the refusal; `undefined` where the credentials could not even be read. */
  readonly status: number | undefined;

  constructor(
    registry: string,
    problem: string,
    options: MicrosandboxErrorOptions & { status?: number } = {},
  ) {
    const { status, ...rest } = options;
    super("imageAuth", `Cannot authenticate at ${registry}: ${problem}`, rest);
    this.registry = registry;
    this.status = status;
  }
}

/** Bytes that are not what their digest or size promised. Code `"imageDigestMismatch"`. */
export class ImageDigestMismatchError extends ImageError {
  /** What was promised. */
  readonly expected: string;
  /** What arrived. */
  readonly actual: string;

  constructor(subject: string, expected: string, actual: string) {
    super("imageDigestMismatch", `Bad ${subject}: expected ${expected}, got ${actual}`);
    this.expected = expected;
    this.actual = actual;
  }
}

/** A manifest, index, configuration or archive that does not follow its specification. Code `"imageManifestInvalid"`. */
export class ImageManifestInvalidError extends ImageError {
  /** What was read, e.g. `"manifest sha256:…"`. */
  readonly subject: string;

  constructor(subject: string, problem: string, options?: MicrosandboxErrorOptions) {
    super("imageManifestInvalid", `Bad ${subject}: ${problem}`, options);
    this.subject = subject;
  }
}

/** The image exists, but not for the platform that is wanted. Code `"imagePlatformMissing"`. */
export class ImagePlatformMissingError extends ImageError {
  /** What is wanted, e.g. `"linux/arm64/v8"`. */
  readonly platform: string;
  /** What the image offers. */
  readonly available: readonly string[];

  constructor(platform: string, available: readonly string[]) {
    const offer = available.length === 0 ? "none that is known" : available.join(", ");
    super("imagePlatformMissing", `No image for ${platform}: available is ${offer}`, {
      hint: "choose another tag, or set `platform` to one of these",
    });
    this.platform = platform;
    this.available = available;
  }
}

/** Nothing of that name: not in the store, or not in the registry. Code `"imageNotFound"`. */
export class ImageNotFoundError extends MicrosandboxError {
  /** What was asked for. */
  readonly reference: string;

  constructor(reference: string, where: string, options?: MicrosandboxErrorOptions) {
    super("imageNotFound", `Image "${reference}" not found ${where}`, options);
    this.reference = reference;
  }
}

/** The image cannot be removed, as sandboxes or snapshots use it. Code `"imageInUse"`. */
export class ImageInUseError extends MicrosandboxError {
  /** What was to be removed. */
  readonly reference: string;

  constructor(reference: string) {
    super("imageInUse", `Image "${reference}" is used by a sandbox or snapshot`, {
      hint: "remove those first, or pass `force` to remove the name and keep the disk for as long as it is used",
    });
    this.reference = reference;
  }
}

/** Query strings of signed blob addresses carry tokens. */
function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) return url;
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
