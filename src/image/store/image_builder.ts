/**
 * Builds a disk from a manifest and its blobs. Layers are downloaded in parallel and merged from the lowest to the
 * highest, each as soon as it has arrived.
 *
 * @module
 */
import { join } from "node:path";
import { type ConfigIssue, InvalidConfigError, MicrosandboxError } from "../../base/errors.ts";
import { ErofsWriter } from "../erofs/writer.ts";
import { TarInvalidError } from "../errors.ts";
import { type Digest, verified } from "../oci/digest.ts";
import {
  ImageDigestMismatchError,
  ImageManifestInvalidError,
  ImagePlatformMissingError,
} from "../oci/errors.ts";
import { CONFIG_BYTES_MAX, decodeImageConfig, type ImageConfigFile } from "../oci/image_config.ts";
import { LayerMerger } from "../oci/layer_merger.ts";
import { type ImageManifest, LAYER_BYTES_MAX, MEDIA_TYPES } from "../oci/manifest.ts";
import { formatPlatform, type Platform, platformScore } from "../oci/platform.ts";
import { countBytes, type PullProgress, type PullProgressListener } from "../progress.ts";
import { decompressDetected } from "../stream/compression.ts";
import { UnpackBudget } from "../stream/unpack_budget.ts";
import type { BlobSource } from "./blob_store.ts";
import type { ImageClaim, ImageStore, StoredImage } from "./image_store.ts";

/** Default number of parallel layer downloads. */
export const PARALLEL_DOWNLOADS_DEFAULT = 4;
/** Most parallel layer downloads that a caller may ask for. */
export const PARALLEL_DOWNLOADS_MAX = 64;

/** Limits on what pulling or loading an image may take. */
export interface ImageBuildLimits {
  /** Number of parallel layer downloads, 1 to 64. @default {4} */
  readonly parallelDownloads?: number | undefined;
  /**
   * Most decompressed bytes of an image's layers, a tar or an archive.
   *
   * @default {274_877_906_944} 256 GiB
   */
  readonly maxUnpackedBytes?: number | undefined;
}

/** @throws {InvalidConfigError} */
export function checkBuildLimits({ parallelDownloads, maxUnpackedBytes }: ImageBuildLimits): void {
  const issues = [
    findIntegerProblem("parallelDownloads", parallelDownloads, PARALLEL_DOWNLOADS_MAX),
    findIntegerProblem("maxUnpackedBytes", maxUnpackedBytes, Number.MAX_SAFE_INTEGER),
  ].filter((issue) => issue !== undefined);
  if (issues.length > 0) throw new InvalidConfigError(issues);
}

function findIntegerProblem(field: string, value: number | undefined, most: number): ConfigIssue | undefined {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return undefined;
  return { field, problem: `must be an integer from 1 to ${most}: current value is ${value}` };
}

/** What to build. */
export interface BuildImageRequest {
  /** Digest of the manifest, which is in the blob store. */
  readonly digest: Digest;
  readonly manifest: ImageManifest;
  /** The requested platform. */
  readonly platform: Platform;
  /** Provides the blobs that the store lacks. */
  readonly source: BlobSource;
  /** Name of the image in errors and events. */
  readonly reference: string;
  readonly limits: ImageBuildLimits;
  readonly claim: ImageClaim | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: PullProgressListener;
}

/** Builds the image unless it is stored. If several processes want it, one builds and the others wait. */
export async function buildImage(store: ImageStore, request: BuildImageRequest): Promise<StoredImage> {
  const { digest, claim, signal, platform, reference, onProgress } = request;
  const check = (found: StoredImage): void => {
    checkPlatform(found.record, platform);
    onProgress(resolvedEvent(reference, found));
  };
  return await store.ensure(digest, { claim, signal, check }, (directory) =>
    buildMissing(store, request, directory()),
  );
}

/** Returns the `resolved` event of an image that is already stored. */
export function resolvedEvent(reference: string, { record }: StoredImage): PullProgress {
  return {
    kind: "resolved",
    reference,
    manifestDigest: record.manifestDigest ?? record.digest,
    layerCount: record.layers.length,
    totalDownloadBytes: record.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  };
}

async function buildMissing(
  store: ImageStore,
  request: BuildImageRequest,
  directory: string,
): Promise<StoredImage> {
  const { digest, manifest, onProgress, reference } = request;
  const config = await fetchConfig(store, request);
  onProgress({
    kind: "resolved",
    reference,
    manifestDigest: digest,
    layerCount: manifest.layers.length,
    totalDownloadBytes: manifest.layers.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
  });
  const stop = new AbortController();
  const signal = request.signal === undefined ? stop.signal : AbortSignal.any([request.signal, stop.signal]);
  const downloads = startDownloads(store, request, signal);
  try {
    const erofsPath = join(directory, "image.erofs");
    await writeLayers(store, request, config, downloads, erofsPath);
    return store.add(erofsPath, {
      digest,
      origin: "image",
      manifestDigest: digest,
      configDigest: manifest.config.digest,
      os: config.os,
      architecture: config.architecture,
      variant: config.variant,
      layers: manifest.layers.map((layer, index) => ({
        digest: layer.digest,
        sizeBytes: layer.sizeBytes,
        mediaType: layer.mediaType,
        diffId: config.diffIds[index]!,
      })),
      config: structuredClone(config.config) as StoredImage["record"]["config"], // only `readonly` differs
    });
  } finally {
    stop.abort();
    await Promise.allSettled(downloads); // no download may run once the locks are released
  }
}

/** Reads the configuration and checks that it fits the manifest. */
async function fetchConfig(store: ImageStore, request: BuildImageRequest): Promise<ImageConfigFile> {
  const { manifest, source, signal, platform, reference } = request;
  const subject = `configuration of ${reference}`;
  if (manifest.config.mediaType === MEDIA_TYPES.empty) {
    throw new ImageManifestInvalidError(`manifest of ${reference}`, "it is an artifact, not an image");
  }
  if (manifest.config.sizeBytes > CONFIG_BYTES_MAX) {
    throw new ImageManifestInvalidError(subject, `it is larger than ${CONFIG_BYTES_MAX} bytes`);
  }
  await store.blobs.ensure(manifest.config, source, signal);
  const config = decodeImageConfig(store.blobs.readSmall(manifest.config.digest), subject);
  if (config.diffIds.length !== manifest.layers.length) {
    const problem = `it has ${config.diffIds.length} diff IDs for ${manifest.layers.length} layers`;
    throw new ImageManifestInvalidError(subject, problem);
  }
  const oversized = manifest.layers.find(({ sizeBytes }) => sizeBytes > LAYER_BYTES_MAX);
  if (oversized !== undefined) throw new ImageManifestInvalidError(subject, "a layer is too large");
  checkPlatform(config, platform);
  return config;
}

/**
 * Checks that an image fits the requested platform. One that states no platform, in its configuration or record, fits
 * all.
 *
 * @throws {ImagePlatformMissingError} The image is for another platform.
 */
export function checkPlatform(
  { os, architecture, variant }: Pick<StoredImage["record"], "os" | "architecture" | "variant">,
  wanted: Platform,
): void {
  if (os === "" || architecture === "" || platformScore(wanted, { os, architecture, variant }) > 0) return;
  throw new ImagePlatformMissingError(formatPlatform(wanted), [
    formatPlatform({ os, architecture, variant }),
  ]);
}

/** Returns a promise per layer, from the lowest to the highest. Only a limited number download at a time. */
function startDownloads(
  store: ImageStore,
  { manifest, source, limits, onProgress }: BuildImageRequest,
  signal: AbortSignal,
): Promise<void>[] {
  const parallelDownloads = limits.parallelDownloads ?? PARALLEL_DOWNLOADS_DEFAULT;
  const downloads: Promise<void>[] = [];
  for (const [layerIndex, layer] of manifest.layers.entries()) {
    const { digest, sizeBytes: totalBytes } = layer;
    const turn = downloads[layerIndex - parallelDownloads] ?? Promise.resolve();
    const download = turn.then(async () => {
      await store.blobs.ensure(layer, source, signal, (downloadedBytes) =>
        onProgress({ kind: "layerDownloadProgress", layerIndex, digest, downloadedBytes, totalBytes }),
      );
      onProgress({ kind: "layerDownloadComplete", layerIndex, digest, downloadedBytes: totalBytes });
    });
    download.catch(() => {}); // the wait for it reports the error
    downloads.push(download);
  }
  return downloads;
}

async function writeLayers(
  store: ImageStore,
  request: BuildImageRequest,
  config: ImageConfigFile,
  downloads: readonly Promise<void>[],
  erofsPath: string,
): Promise<void> {
  const { manifest, signal, onProgress, reference } = request;
  using writer = new ErofsWriter(erofsPath, { signal });
  const merger = new LayerMerger(writer);
  const budget = new UnpackBudget(request.limits.maxUnpackedBytes);
  for (const [layerIndex, { digest, sizeBytes: totalBytes }] of manifest.layers.entries()) {
    await downloads[layerIndex];
    const diffId = config.diffIds[layerIndex]!;
    onProgress({ kind: "layerMaterializeStarted", layerIndex, diffId });
    const compressed = countBytes(store.blobs.read(digest), (bytesRead) =>
      onProgress({ kind: "layerMaterializeProgress", layerIndex, bytesRead, totalBytes }),
    );
    const subject = `layer ${layerIndex + 1} of ${reference}`;
    try {
      await merger.apply(
        verified(budget.spend(decompressDetected(compressed)), { digest: diffId }, subject),
        signal,
      );
    } catch (error) {
      // The stored blob may have been damaged since it was verified: the next attempt fetches it again.
      if (isDamage(error)) store.blobs.remove(digest);
      throw error;
    }
    onProgress({ kind: "layerMaterializeComplete", layerIndex, diffId });
  }
  onProgress({ kind: "stitchWritingFsmeta" });
  const { sizeBytes } = await writer.finish(merger.root);
  onProgress({ kind: "stitchComplete", sizeBytes });
}

function isDamage(error: unknown): boolean {
  if (!MicrosandboxError.is(error)) return false;
  return error instanceof TarInvalidError || error instanceof ImageDigestMismatchError;
}
