/** `Image`, the public face of a home's images. @module */
import { InternalError, InvalidConfigError } from "../../base/errors.ts";
import { checkFields } from "../../base/parse_config.ts";
import { openHome } from "../../platform/home.ts";
import type { ImageConfig } from "../oci/image_config.ts";
import { hostPlatform, type Platform, parsePlatform } from "../oci/platform.ts";
import { formatReference, parseReference } from "../oci/reference.ts";
import type { RegistryOptions } from "../oci/registry_client.ts";
import type { PullProgressListener } from "../progress.ts";
import { type ImageArchiveFormat, loadImages, saveImages } from "./archive_images.ts";
import {
  type CatalogEntry,
  getImage,
  type ImagePruneReport,
  type ImageUsage,
  listImages,
  pruneImages,
  removeImage,
} from "./catalog.ts";
import { checkBuildLimits, type ImageBuildLimits } from "./image_builder.ts";
import { ImageStore } from "./image_store.ts";
import { checkPullPolicy, type PullPolicy, pullImage } from "./pull.ts";

export type { ImageArchiveFormat } from "./archive_images.ts";
export type { ImagePruneReport, ImageUsage } from "./catalog.ts";
export type { ImageBuildLimits } from "./image_builder.ts";

/** Options of all operations on images. */
export interface ImageOptions {
  /** Directory in which images are kept. @default `MSB_HOME`, else `microsandbox` in the XDG data directory */
  readonly home?: string | undefined;
  /** Ends the operation immediately. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@linkcode Image.pull}. */
export interface ImagePullOptions extends ImageOptions, ImageBuildLimits {
  /** When to contact the registry. @default {"always"} */
  readonly pullPolicy?: PullPolicy | undefined;
  /** `"os/architecture"`, with an optional `/variant`. @default Linux on this machine's processor */
  readonly platform?: string | undefined;
  /** Credentials and transport for the registry. @default Docker's credentials, HTTPS */
  readonly registry?: RegistryOptions | undefined;
  /** Called for each progress event. */
  readonly onProgress?: PullProgressListener | undefined;
}

/** Options of {@linkcode Image.load}. */
export interface ImageLoadOptions extends ImageOptions, ImageBuildLimits {
  /** Name for the archive's only image, instead of the names that it states. */
  readonly tag?: string | undefined;
  /** See {@linkcode ImagePullOptions.platform}. */
  readonly platform?: string | undefined;
  /** Called for each progress event. */
  readonly onProgress?: PullProgressListener | undefined;
}

/** Options of {@linkcode Image.save}. */
export interface ImageSaveOptions extends ImageOptions {
  /** Path of the archive. An existing file is replaced. */
  readonly outputPath: string;
  /** Format of the archive. @default {"docker"} */
  readonly format?: ImageArchiveFormat | undefined;
}

/** Options of {@linkcode Image.remove}. */
export interface ImageRemoveOptions extends ImageOptions {
  /** Remove the name even if the image is used. The disk stays until nothing uses it. @default {false} */
  readonly force?: boolean | undefined;
}

/** Options of {@linkcode Image.prune}. */
export interface ImagePruneOptions extends ImageOptions {
  /** Also remove images that have a name. @default {false} */
  readonly all?: boolean | undefined;
}

/** An image in the store. */
export interface ImageHandle {
  /** Full name, e.g. `"docker.io/library/alpine:latest"`, or the digest if the image has no name. */
  readonly reference: string;
  /** Digest by which the disk is known: the manifest's, or one of the content of a plain directory or tar. */
  readonly digest: string;
  /**
   * Path of the plain directory or tar that the image was made from. What is there now may differ. `undefined` for an
   * image of a registry or archive.
   */
  readonly localPath: string | undefined;
  /** Size of the disk, in bytes. */
  readonly sizeBytes: number;
  /** Digest of the manifest; `undefined` for an image made from a plain directory or tar. */
  readonly manifestDigest: string | undefined;
  /** Processor architecture, e.g. `"amd64"`; `"unknown"` if the image does not say. */
  readonly architecture: string;
  /** Operating system, e.g. `"linux"`; `"unknown"` if the image does not say. */
  readonly os: string;
  /** Number of layers; 0 for an image made from a plain directory or tar. */
  readonly layerCount: number;
  /** Time when the image was last pulled or a sandbox was created from it. */
  readonly lastUsedAt: Date;
  /** Time when the image came into the store. */
  readonly createdAt: Date;
}

/** One layer of an image. */
export interface ImageLayerDetail {
  /** Digest of the decompressed layer. */
  readonly diffId: string;
  /** Digest of the layer as it is in the registry. */
  readonly blobDigest: string;
  /** Media type of the layer as it is in the registry. */
  readonly mediaType: string;
  /** Size of the layer as it is in the registry, in bytes. */
  readonly compressedSizeBytes: number;
  /** Always `null`, because one disk holds all layers. */
  readonly erofsSizeBytes: null;
  /** Position of the layer; 0 is the lowest. */
  readonly position: number;
}

/** How an image wants its programs to be run. */
export interface ImageConfigDetail extends ImageConfig {
  /** Digest of the configuration; `undefined` for an image made from a plain directory or tar. */
  readonly digest: string | undefined;
}

/** Everything known about an image. */
export interface ImageDetail {
  /** The image under the requested name. */
  readonly handle: ImageHandle;
  /** How the image's programs are to be run. */
  readonly config: ImageConfigDetail;
  /** Layers from the lowest to the highest. */
  readonly layers: readonly ImageLayerDetail[];
}

let usageOf: ((home: string) => ImageUsage) | undefined;

/**
 * Registers the provider that knows which images are in use. The room that keeps sandboxes calls this once when it is
 * loaded; until then nothing can be removed.
 */
export function registerImageUsage(provider: (home: string) => ImageUsage): void {
  usageOf = provider;
}

/**
 * Pulls, lists, inspects, loads, saves and removes the images of a home. An image is one disk that all its sandboxes
 * share.
 *
 * @example
 * ```ts no-run: pulls from a registry
 * import { Image } from "microsandbox";
 *
 * await Image.pull("alpine");
 * for (const image of await Image.list()) console.log(image.reference, image.sizeBytes);
 * await Image.save("alpine", { outputPath: "alpine.tar" });
 * await Image.prune(); // images without a name; `{ all: true }` for every image that is unused
 * ```
 */
export class Image {
  private constructor() {}

  /**
   * Pulls an image from its registry, or verifies that it has not changed.
   *
   * @throws {MicrosandboxError} Codes `"imageReferenceInvalid"`, `"imageNotFound"`, `"imageAuth"`, `"imageRegistry"`,
   * `"imageDigestMismatch"`, `"imageManifestInvalid"`, `"imagePlatformMissing"`, `"tarInvalid"`, `"aborted"`.
   */
  static async pull(reference: string, options: ImagePullOptions = {}): Promise<ImageHandle> {
    checkFields(options, FIELDS.pull, "options");
    const parsed = parseReference(reference);
    checkBuildLimits(options);
    checkPullPolicy(options.pullPolicy);
    const { signal, onProgress = () => {} } = options;
    const store = storeOf(options);
    using _open = await store.open(signal);
    const image = await pullImage(store, {
      reference: parsed,
      platform: platformOf(options),
      pullPolicy: options.pullPolicy ?? "always",
      registry: options.registry ?? {},
      limits: options,
      claim: undefined,
      signal,
      onProgress,
    });
    const name = formatReference(parsed);
    onProgress({ kind: "complete", reference: name, layerCount: image.record.layers.length });
    return handleOf({ reference: name, image, lastUsedAt: new Date() });
  }

  /** Returns the image with a name or digest. @throws {ImageNotFoundError | ImageReferenceInvalidError} */
  static async get(reference: string, options: ImageOptions = {}): Promise<ImageHandle> {
    checkFields(options, COMMON, "options");
    return handleOf(getImage(storeOf(options), reference));
  }

  /** Returns all images, sorted by name. An image with several names is listed once for each. */
  static async list(options: ImageOptions = {}): Promise<ImageHandle[]> {
    checkFields(options, COMMON, "options");
    return listImages(storeOf(options)).map(handleOf);
  }

  /** Returns an image with its configuration and layers. @throws {ImageNotFoundError | ImageReferenceInvalidError} */
  static async inspect(reference: string, options: ImageOptions = {}): Promise<ImageDetail> {
    checkFields(options, COMMON, "options");
    const entry = getImage(storeOf(options), reference);
    const { config, configDigest, layers } = entry.image.record;
    return {
      handle: handleOf(entry),
      config: { ...config, digest: configDigest },
      layers: layers.map(({ digest, diffId, mediaType, sizeBytes }, position) => ({
        diffId,
        blobDigest: digest,
        mediaType,
        compressedSizeBytes: sizeBytes,
        erofsSizeBytes: null,
        position,
      })),
    };
  }

  /**
   * Removes a name, and with the last name the image.
   *
   * @throws {ImageInUseError} Code `"imageInUse"`. Sandboxes or snapshots use the image.
   * @throws {ImageNotFoundError | ImageReferenceInvalidError}
   */
  static async remove(reference: string, options: ImageRemoveOptions = {}): Promise<void> {
    checkFields(options, FIELDS.remove, "options");
    await removeImage(storeOf(options), usageFor(options), reference, options.force ?? false, options.signal);
  }

  /**
   * Removes images that have no name and that no sandbox or snapshot uses, such as the ones whose tag has moved on, along
   * with anything that interrupted work left behind. With `all`, removes all unused images.
   *
   * @throws {AbortedError} Code `"aborted"`. Images that were already removed stay removed.
   *
   * @example
   * ```ts no-run: removes images
   * import { Image } from "microsandbox";
   *
   * const { removed, bytesReclaimed } = await Image.prune({ all: true });
   * console.log(removed, bytesReclaimed);
   * ```
   */
  static async prune(options: ImagePruneOptions = {}): Promise<ImagePruneReport> {
    checkFields(options, FIELDS.prune, "options");
    const { all = false, signal } = options;
    return await pruneImages(storeOf(options), usageFor(options), { all, signal });
  }

  /**
   * Loads the images of an archive (`docker save`, `podman save`, `skopeo`, {@linkcode Image.save}; plain, gzip or
   * zstd) or of a directory in the OCI image layout.
   */
  static async load(path: string, options: ImageLoadOptions = {}): Promise<ImageHandle[]> {
    checkFields(options, FIELDS.load, "options");
    if (typeof path !== "string")
      throw new InvalidConfigError([{ field: "path", problem: "must be a string" }]);
    checkBuildLimits(options);
    const { signal, tag, onProgress = () => {} } = options;
    const platform = platformOf(options);
    const store = storeOf(options);
    using _open = await store.open(signal);
    const loaded = await loadImages(store, { path, platform, tag, limits: options, signal, onProgress });
    return loaded.map(({ reference, image }) => handleOf({ reference, image, lastUsedAt: new Date() }));
  }

  /** Saves one or more images to an archive that {@linkcode Image.load} and other tools can read. */
  static async save(references: string | readonly string[], options: ImageSaveOptions): Promise<void> {
    checkFields(options, FIELDS.save, "options");
    const names = typeof references === "string" ? [references] : references;
    if (!Array.isArray(names) || names.length === 0) {
      throw new InvalidConfigError([{ field: "references", problem: "must name at least one image" }]);
    }
    const { signal, outputPath, format = "docker" } = options;
    const store = storeOf(options);
    using _open = await store.open(signal);
    await saveImages(store, {
      images: names.map((name) => getImage(store, name)),
      outputPath,
      format,
      signal,
    });
  }
}

const COMMON = { home: true, signal: true } as const satisfies Record<keyof ImageOptions, true>;
const FIELDS = {
  remove: { ...COMMON, force: true } satisfies Record<keyof ImageRemoveOptions, true>,
  prune: { ...COMMON, all: true } satisfies Record<keyof ImagePruneOptions, true>,
  save: { ...COMMON, outputPath: true, format: true } satisfies Record<keyof ImageSaveOptions, true>,
  pull: {
    ...COMMON,
    pullPolicy: true,
    platform: true,
    registry: true,
    onProgress: true,
    parallelDownloads: true,
    maxUnpackedBytes: true,
  } satisfies Record<keyof ImagePullOptions, true>,
  load: {
    ...COMMON,
    tag: true,
    platform: true,
    onProgress: true,
    parallelDownloads: true,
    maxUnpackedBytes: true,
  } satisfies Record<keyof ImageLoadOptions, true>,
} as const;

function storeOf(options: ImageOptions): ImageStore {
  return new ImageStore(openHome(options.home));
}

function usageFor(options: ImageOptions): ImageUsage {
  if (usageOf === undefined) throw new InternalError("No provider of image usage is registered");
  return usageOf(openHome(options.home));
}

function platformOf(options: { readonly platform?: string | undefined }): Platform {
  return options.platform === undefined ? hostPlatform() : parsePlatform(options.platform);
}

function handleOf({ reference, image, lastUsedAt }: CatalogEntry): ImageHandle {
  const { record } = image;
  return {
    reference,
    digest: record.digest,
    localPath: record.localPath,
    sizeBytes: record.sizeBytes,
    manifestDigest: record.manifestDigest,
    architecture: record.architecture || "unknown",
    os: record.os || "unknown",
    layerCount: record.layers.length,
    lastUsedAt,
    createdAt: new Date(record.createdAt),
  };
}
