/**
 * Reads image indexes and manifests, both OCI's and Docker's. The bytes come from outside and are not trusted.
 *
 * Sources: OCI Image Specification 1.1, image-index.md, manifest.md, descriptor.md; Docker Image Manifest Version 2,
 * Schema 2. Unknown fields are ignored, as those specifications want.
 *
 * @module
 */
import { z } from "zod";
import { type Digest, isDigest } from "./digest.ts";
import { ImageManifestInvalidError, ImagePlatformMissingError } from "./errors.ts";
import { formatPlatform, type Platform, platformScore } from "./platform.ts";

/** Largest manifest or index, in bytes; registries have the same limit. */
export const MANIFEST_BYTES_MAX = 4 * 1024 * 1024;
/** Most layers of one image. Overlay-based runtimes stop at 128. */
export const LAYERS_MAX = 512;
/** Most manifests in one index. */
export const INDEX_ENTRIES_MAX = 4096;
/** Largest compressed layer, in bytes: 1 TiB. */
export const LAYER_BYTES_MAX = 2 ** 40;

export const MEDIA_TYPES = {
  index: "application/vnd.oci.image.index.v1+json",
  manifest: "application/vnd.oci.image.manifest.v1+json",
  config: "application/vnd.oci.image.config.v1+json",
  /** Type of the configuration of an artifact, which has none. */
  empty: "application/vnd.oci.empty.v1+json",
  layer: "application/vnd.oci.image.layer.v1.tar",
  layerGzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  layerZstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  dockerIndex: "application/vnd.docker.distribution.manifest.list.v2+json",
  dockerManifest: "application/vnd.docker.distribution.manifest.v2+json",
} as const;

/** `Accept` header: the document types that this library reads. */
export const MANIFEST_ACCEPT: string = [
  MEDIA_TYPES.index,
  MEDIA_TYPES.manifest,
  MEDIA_TYPES.dockerIndex,
  MEDIA_TYPES.dockerManifest,
].join(", ");

/** Types that an entry of an index must have to lead to an image. Some old tools leave the type out. */
const IMAGE_TYPES: ReadonlySet<string> = new Set([
  MEDIA_TYPES.index,
  MEDIA_TYPES.manifest,
  MEDIA_TYPES.dockerIndex,
  MEDIA_TYPES.dockerManifest,
  "",
]);

const digest = z.custom<Digest>((value) => typeof value === "string" && isDigest(value), "must be a digest");

const descriptor = z
  .object({
    mediaType: z.string().max(255).default(""),
    digest,
    size: z.int().min(0).max(LAYER_BYTES_MAX),
    annotations: z.record(z.string(), z.string()).nullish(),
    platform: z
      .object({ os: z.string(), architecture: z.string(), variant: z.string().optional() })
      .nullish()
      .catch(undefined),
  })
  .transform(({ mediaType, digest, size, annotations, platform }) => ({
    mediaType,
    digest,
    sizeBytes: size,
    referenceName: annotations?.["org.opencontainers.image.ref.name"],
    imageName: annotations?.["io.containerd.image.name"],
    isAttestation: annotations?.["vnd.docker.reference.type"] === "attestation-manifest",
    platform: platform ?? undefined,
  }));

const manifestSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptor,
  layers: z.array(descriptor).max(LAYERS_MAX),
});

const indexSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  manifests: z.array(descriptor).max(INDEX_ENTRIES_MAX),
});

/** Descriptor of content: its type, digest and size. */
export type Descriptor = z.output<typeof descriptor>;

/** One image for one platform. */
export interface ImageManifest {
  readonly kind: "manifest";
  readonly config: Descriptor;
  /** From the lowest to the highest. */
  readonly layers: readonly Descriptor[];
}

/** One image for several platforms, or several images. */
export interface ImageIndex {
  readonly kind: "index";
  readonly manifests: readonly Descriptor[];
}

/**
 * Parses a manifest or an index.
 *
 * @param subject Name of the document in errors.
 * @throws {ImageManifestInvalidError} The document is neither, or is not about an image.
 */
export function decodeManifest(bytes: Uint8Array, subject: string): ImageManifest | ImageIndex {
  const value = parseJson(bytes, MANIFEST_BYTES_MAX, subject);
  if (typeof value !== "object" || value === null) {
    throw new ImageManifestInvalidError(subject, "it is not a JSON object");
  }
  if ("schemaVersion" in value && value.schemaVersion === 1) {
    throw new ImageManifestInvalidError(subject, "Docker's schema 1 is not supported", {
      hint: "push the image again with a current tool",
    });
  }
  // A document that is both could be read in two ways by two tools (OCI distribution security advisory, 2021).
  if ("manifests" in value && ("layers" in value || "config" in value)) {
    throw new ImageManifestInvalidError(subject, "it is both an index and a manifest");
  }
  if ("manifests" in value) {
    return { kind: "index", manifests: check(indexSchema, value, subject).manifests };
  }
  const { config, layers } = check(manifestSchema, value, subject);
  return { kind: "manifest", config, layers };
}

/**
 * Returns the manifest of an index that fits `wanted` best.
 *
 * @throws {ImagePlatformMissingError} No manifest fits.
 */
export function choosePlatform(index: ImageIndex, wanted: Platform): Descriptor {
  const images = index.manifests.filter(isImage);
  let best: Descriptor | undefined;
  let bestScore = 0;
  for (const entry of images) {
    // An index of one image may leave out the platform: the image's own configuration has the last word.
    const score = entry.platform === undefined ? 1 : platformScore(wanted, entry.platform);
    if (score > bestScore) [best, bestScore] = [entry, score];
  }
  if (best !== undefined) return best;
  const offers = images.flatMap(({ platform }) =>
    platform === undefined ? [] : [formatPlatform({ ...platform, variant: platform.variant })],
  );
  throw new ImagePlatformMissingError(formatPlatform(wanted), [...new Set(offers)]);
}

/**
 * Returns whether an entry leads to an image. An index may also point to signatures, attestations and other artifacts.
 */
function isImage({ mediaType, isAttestation, platform }: Descriptor): boolean {
  return IMAGE_TYPES.has(mediaType) && !isAttestation && platform?.os !== "unknown";
}

/** Parses JSON of a known schema, or throws {@linkcode ImageManifestInvalidError}. */
export function decodeJson<T>(bytes: Uint8Array, schema: z.ZodType<T>, bytesMax: number, subject: string): T {
  return check(schema, parseJson(bytes, bytesMax, subject), subject);
}

function parseJson(bytes: Uint8Array, bytesMax: number, subject: string): unknown {
  if (bytes.length > bytesMax) {
    throw new ImageManifestInvalidError(subject, `it is larger than ${bytesMax} bytes`);
  }
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ImageManifestInvalidError(subject, "it is not JSON", { cause });
  }
}

/** Most problems that one error lists. */
const PROBLEMS_SHOWN_MAX = 5;

function check<T>(schema: z.ZodType<T>, value: unknown, subject: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues
    .slice(0, PROBLEMS_SHOWN_MAX)
    .map(({ path, message }) => `${path.join(".") || "document"}: ${message}`);
  throw new ImageManifestInvalidError(subject, problems.join("; "));
}
