/** Errors about references, registries and the images in them. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../../base/errors.ts";
import { ImageError } from "../errors.ts";

/** Part of a reference that is wrong. */
export type ReferencePart = "reference" | "registry" | "repository" | "tag" | "digest";

/** The text is not a valid image reference. Code `"imageReferenceInvalid"`. */
export class ImageReferenceInvalidError extends ImageError {
  /** The text as the caller gave it. */
  readonly reference: string;
  /** The part of the reference that is wrong. */
  readonly part: ReferencePart;

  /** @internal */
  constructor(reference: string, part: ReferencePart, problem: string, options?: MicrosandboxErrorOptions) {
    const subject = part === "reference" ? "it" : `the ${part}`;
    super("imageReferenceInvalid", `Bad image reference "${reference}": ${subject} ${problem}`, options);
    this.reference = reference;
    this.part = part;
  }
}

/** The registry could not be reached, or its answer ends the pull. Code `"imageRegistry"`. */
export class ImageRegistryError extends ImageError {
  /** Address of the request, without credentials and query. */
  readonly url: string;
  /** HTTP status of the answer; `undefined` if there was none. */
  readonly status: number | undefined;
  /** Time that the registry asks clients to wait, in milliseconds; `undefined` if it does not. */
  readonly retryAfterMs: number | undefined;
  /** Whether a retry cannot help, as for an untrusted certificate. */
  readonly isFinal: boolean;

  /** @internal */
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

/** The registry refused the credentials, or requires some and there are none. Code `"imageAuth"`. */
export class ImageAuthError extends ImageError {
  /** Host of the registry, as in references. */
  readonly registry: string;
  /** HTTP status of the refusal; `undefined` if the credentials could not even be read. */
  readonly status: number | undefined;

  /** @internal */
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

/** The bytes do not match the promised digest or size. Code `"imageDigestMismatch"`. */
export class ImageDigestMismatchError extends ImageError {
  /** The promised digest or size. */
  readonly expected: string;
  /** The actual digest or size. */
  readonly actual: string;

  /** @internal */
  constructor(subject: string, expected: string, actual: string) {
    super("imageDigestMismatch", `Bad ${subject}: expected ${expected}, got ${actual}`);
    this.expected = expected;
    this.actual = actual;
  }
}

/**
 * A manifest, index, configuration or archive that does not follow its specification, or is over a limit. Code
 * `"imageManifestInvalid"`.
 */
export class ImageManifestInvalidError extends ImageError {
  /** The invalid document, e.g. `"manifest sha256:…"`. */
  readonly subject: string;

  /** @internal */
  constructor(subject: string, problem: string, options?: MicrosandboxErrorOptions) {
    super("imageManifestInvalid", `Bad ${subject}: ${problem}`, options);
    this.subject = subject;
  }
}

/** The image exists, but not for the requested platform. Code `"imagePlatformMissing"`. */
export class ImagePlatformMissingError extends ImageError {
  /** The requested platform, e.g. `"linux/arm64/v8"`. */
  readonly platform: string;
  /** Platforms that the image has. */
  readonly available: readonly string[];

  /** @internal */
  constructor(platform: string, available: readonly string[]) {
    const offer = available.length === 0 ? "no known platform" : available.join(", ");
    super("imagePlatformMissing", `No image for ${platform}: the image has ${offer}`, {
      hint: "choose another tag, or set `platform` to one of the platforms that the image has",
    });
    this.platform = platform;
    this.available = available;
  }
}

/** No image of that name exists in the store or in the registry. Code `"imageNotFound"`. */
export class ImageNotFoundError extends MicrosandboxError {
  /** The name or digest that was looked for. */
  readonly reference: string;

  /** @internal */
  constructor(reference: string, where: string, options?: MicrosandboxErrorOptions) {
    super("imageNotFound", `Image "${reference}" not found ${where}`, options);
    this.reference = reference;
  }
}

/** The image cannot be removed because sandboxes or snapshots use it. Code `"imageInUse"`. */
export class ImageInUseError extends MicrosandboxError {
  /** Name or digest of the image. */
  readonly reference: string;

  /** @internal */
  constructor(reference: string) {
    super("imageInUse", `Image "${reference}" is used by a sandbox or snapshot`, {
      hint: "remove those first, or pass `force` to remove the name and keep the disk for as long as it is used",
    });
    this.reference = reference;
  }
}

/** Removes the query, since signed blob addresses carry tokens in it. */
function withoutSecrets(url: string): string {
  if (!URL.canParse(url)) return url;
  const { origin, pathname } = new URL(url);
  return origin + pathname;
}
