/**
 * The one door of this room for who starts sandboxes: from what a user writes as an image to a disk.
 *
 * @module
 */
import { statSync } from "node:fs";
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
  /** Where sandboxes and images are kept. */
  readonly home: string;
  /** @default {"if-missing"} */
  readonly pullPolicy?: PullPolicy | undefined;
  /** `"os/architecture"`, with an optional `/variant`. @default Linux on this machine's processor */
  readonly platform?: string | undefined;
  /** How to reach the registry. */
  readonly registry?: (RegistryOptions & Pick<RegistryClientOptions, "http" | "environment">) | undefined;
  /** Ends the work at once; nothing is left behind. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: PullProgressListener | undefined;
  /**
   * Called with the image's digest at a moment when it cannot be removed. Note there that it is used, so that no
   * `prune()` comes in between.
   */
  readonly claim?: ImageClaim | undefined;
}

/** A disk to start a sandbox from. */
export interface ResolvedImage {
  /** Path of the disk: read-only, shared by all sandboxes. */
  readonly erofsPath: string;
  /** What the disk is known by: the manifest's digest, or the hash of a local tree or tar. */
  readonly digest: Digest;
  /** The reference in full; `undefined` for a local path. */
  readonly reference?: string | undefined;
  /** `undefined` for a plain directory or tar. */
  readonly manifestDigest?: Digest | undefined;
  /** What the image says about how to run its programs. */
  readonly config: ImageConfig;
}

/** Names that mean a local archive when such a file exists. */
const ARCHIVE_NAME = /\.(?:tar|tar\.gz|tgz|tar\.zst)$/;

/**
 * Whether `spec` is a path rather than a reference: it begins with `/`, `./` or `../`, is `.` or `..`, or ends in
 * `.tar`, `.tar.gz`, `.tgz` or `.tar.zst` and is a file that exists. A directory needs its `./`: otherwise a directory
 * that happens to be called `alpine` would change what `alpine` means.
 */
export function isLocalImage(spec: string): boolean {
  if (/^\.{0,2}\//.test(spec) || spec === "." || spec === "..") return true;
  return ARCHIVE_NAME.test(spec) && (statSync(spec, { throwIfNoEntry: false })?.isFile() ?? false);
}

/**
 * Gives the disk for what a user wrote as an image: a reference, or the path of a root file system (directory or tar),
 * an OCI layout, or an archive of `docker save`, `podman save` or `skopeo`.
 *
 * @throws {ImageReferenceInvalidError | ImageNotFoundError | ImageAuthError | ImageRegistryError} The reference.
 * @throws {ImageDigestMismatchError | ImageManifestInvalidError | ImagePlatformMissingError | TarInvalidError} The image.
 * @throws {InvalidConfigError} `platform`, a limit, or a file that is no image.
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

/** The disk of an image that a sandbox was made of. @throws {ImageNotFoundError} if it is gone, or not whole. */
export function findStoredDisk(home: string, digest: string): string {
  const found = isDigest(digest) ? new ImageStore(home).find(digest) : undefined;
  if (found === undefined) throw new ImageNotFoundError(digest, "in the image store");
  return found.erofsPath;
}

/** What callers see of a stored image. */
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
