/**
 * Turns whatever a user gives as an image into a disk. This is the entry point for code that starts sandboxes.
 *
 * @module
 */
import { existsSync } from "node:fs";
import { addHint, MicrosandboxError } from "../../base/errors.ts";
import { isLocalImage } from "../local_name.ts";
import { type Digest, isDigest } from "../oci/digest.ts";
import { ImageNotFoundError } from "../oci/errors.ts";
import type { ImageConfig } from "../oci/image_config.ts";
import { hostPlatform, parsePlatform } from "../oci/platform.ts";
import { formatReference, parseReference } from "../oci/reference.ts";
import type { RegistryClientOptions, RegistryOptions } from "../oci/registry_client.ts";
import type { PullProgressListener } from "../progress.ts";
import { checkBuildLimits, type ImageBuildLimits } from "./image_builder.ts";
import { type ImageClaim, ImageStore, type StoredImage } from "./image_store.ts";
import { importLocalImage } from "./local_image.ts";
import { checkPullPolicy, type PullPolicy, pullImage } from "./pull.ts";

/** Options of {@linkcode resolveImage}. */
export interface ResolveImageOptions extends ImageBuildLimits {
  /** Directory in which sandboxes and images are kept. */
  readonly home: string;
  /** @default {"if-missing"} */
  readonly pullPolicy?: PullPolicy | undefined;
  /** `"os/architecture"`, with an optional `/variant`. @default Linux on this machine's processor */
  readonly platform?: string | undefined;
  /** Credentials and transport for the registry. */
  readonly registry?: (RegistryOptions & Pick<RegistryClientOptions, "http" | "environment">) | undefined;
  /** Ends the work immediately and leaves nothing behind. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: PullProgressListener | undefined;
  /**
   * Called with the image's digest while the image cannot be removed. Note its use here, so that no `prune()` removes
   * it in between.
   */
  readonly claim?: ImageClaim | undefined;
}

/** A disk to start a sandbox from. */
export interface ResolvedImage {
  /** Path of the disk, which is read-only and shared by all sandboxes. */
  readonly erofsPath: string;
  /** Digest of the disk: the manifest's, or the hash of a local tree or tar. */
  readonly digest: Digest;
  /** Full reference; `undefined` for a local path. */
  readonly reference?: string | undefined;
  /** Digest of the manifest; `undefined` for a plain directory or tar. */
  readonly manifestDigest?: Digest | undefined;
  /** How the image's programs are to be run. */
  readonly config: ImageConfig;
}

/**
 * Returns the disk for what a user gives as an image: a reference, or the path of a root file system (directory or
 * tar), an OCI layout, or an archive of `docker save`, `podman save` or `skopeo`.
 *
 * @throws {ImageReferenceInvalidError | ImageNotFoundError | ImageAuthError | ImageRegistryError} The reference.
 * @throws {ImageDigestMismatchError | ImageManifestInvalidError | ImagePlatformMissingError | TarInvalidError} The image.
 * @throws {InvalidConfigError} `platform`, a limit, or a file that is not an image.
 * @throws {IoError | AbortedError}
 *
 * @example
 * ```ts
 * import { resolveImage } from "./resolve_image.ts";
 *
 * const { erofsPath, config } = await resolveImage("./rootfs", { home: "./home" });
 * console.log(erofsPath, config.env);
 * ```
 */
export async function resolveImage(spec: string, options: ResolveImageOptions): Promise<ResolvedImage> {
  try {
    return await resolveSpec(spec, options);
  } catch (error) {
    // A directory "rootfs" is not looked for unless it is written as a path, which is easily forgotten.
    const isPathMeant = MicrosandboxError.is(error) && /^image/.test(error.code) && !isLocalImage(spec);
    if (isPathMeant && existsSync(spec)) addHint(error, `write "./${spec}" to use what is here at that path`);
    throw error;
  }
}

async function resolveSpec(spec: string, options: ResolveImageOptions): Promise<ResolvedImage> {
  const { signal, claim, onProgress = () => {} } = options;
  checkBuildLimits(options);
  checkPullPolicy(options.pullPolicy);
  const platform = options.platform === undefined ? hostPlatform() : parsePlatform(options.platform);
  const reference = isLocalImage(spec) ? undefined : parseReference(spec);
  const store = new ImageStore(options.home);
  using _open = await store.open(signal);
  const image =
    reference === undefined
      ? await importLocalImage(store, { path: spec, platform, limits: options, claim, signal, onProgress })
      : await pullImage(store, {
          reference,
          platform,
          pullPolicy: options.pullPolicy ?? "if-missing",
          registry: options.registry ?? {},
          limits: options,
          claim,
          signal,
          onProgress,
        });
  const name = reference === undefined ? spec : formatReference(reference);
  onProgress({ kind: "complete", reference: name, layerCount: image.record.layers.length });
  return describeImage(image, reference && formatReference(reference));
}

/**
 * Returns the disk of an image that a sandbox was made from.
 *
 * @throws {ImageNotFoundError} It is missing or incomplete.
 */
export function findStoredDisk(home: string, digest: string): string {
  const found = isDigest(digest) ? new ImageStore(home).find(digest) : undefined;
  if (found === undefined) throw new ImageNotFoundError(digest, "in the image store");
  return found.erofsPath;
}

/** Returns the public view of a stored image. */
export function describeImage(image: StoredImage, reference: string | undefined): ResolvedImage {
  const { digest, manifestDigest, config } = image.record;
  return {
    erofsPath: image.erofsPath,
    digest,
    ...(reference === undefined ? {} : { reference }),
    ...(manifestDigest === undefined ? {} : { manifestDigest }),
    config,
  };
}
