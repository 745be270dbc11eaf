/** Loads images from archives and saves them to archives, like `docker load` and `docker save`. @module */
import { randomBytes } from "node:crypto";
import { createWriteStream, renameSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import { pipeline } from "node:stream/promises";
import { type Pack, pack } from "tar-stream";
import { encodeUtf8 } from "../../base/bytes.ts";
import {
  AbortedError,
  InvalidConfigError,
  IoError,
  MicrosandboxError,
  UnsupportedError,
} from "../../base/errors.ts";
import { withQuietErrors } from "../../platform/quiet_errors.ts";
import { drained } from "../../platform/stream_drain.ts";
import { syncFile } from "../../platform/sync_file.ts";
import { detectImageSource } from "../detect.ts";
import { unpackArchive } from "../oci/archive.ts";
import { type Digest, verified } from "../oci/digest.ts";
import { ImagePlatformMissingError } from "../oci/errors.ts";
import { directoryFiles, type ImageLayout, openLayout } from "../oci/layout.ts";
import { decodeManifest, MEDIA_TYPES } from "../oci/manifest.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import { formatReference, parseReference } from "../oci/reference.ts";
import type { PullProgressListener } from "../progress.ts";
import type { BlobKey } from "./blob_store.ts";
import type { CatalogEntry } from "./catalog.ts";
import type { ImageBuildLimits } from "./image_builder.ts";
import type { ImageStore, StoredImage } from "./image_store.ts";
import { importLayoutImage, realPath } from "./local_image.ts";

/**
 * `"docker"` is readable by every version of `docker load` and is also an OCI archive; `"oci"` is an OCI archive only.
 */
export type ImageArchiveFormat = "docker" | "oci";

/** Most images in one archive. */
export const LOADED_IMAGES_MAX = 1024;

export interface LoadRequest {
  readonly path: string;
  readonly platform: Platform;
  /** Name for the archive's only image. */
  readonly tag: string | undefined;
  readonly limits: ImageBuildLimits;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: PullProgressListener;
}

/** Loads all images of an archive or layout that fit the platform. Returns them under their names. */
export async function loadImages(
  store: ImageStore,
  request: LoadRequest,
): Promise<{ reference: string; image: StoredImage }[]> {
  const { path, signal } = request;
  const { kind } = await detectImageSource(realPath(path), { ...request.limits, signal });
  if (kind === "ociLayout")
    return await loadLayout(store, request, await openLayout(directoryFiles(path), signal));
  if (kind !== "imageArchive") {
    throw new InvalidConfigError([
      { field: "path", problem: `${path} is neither an image archive nor an OCI layout` },
    ]);
  }
  return await store.workspaces.run(
    "source",
    `load ${randomBytes(8).toString("hex")}`,
    signal,
    async (directory) => {
      const files = await unpackArchive(path, directory(), request.limits.maxUnpackedBytes, signal);
      const layout = await openLayout(files, signal);
      return await loadLayout(store, request, layout);
    },
  );
}

async function loadLayout(
  store: ImageStore,
  request: LoadRequest,
  layout: ImageLayout,
): Promise<{ reference: string; image: StoredImage }[]> {
  const { tag, platform, limits, signal, onProgress, path } = request;
  if (layout.images.length > LOADED_IMAGES_MAX) {
    throw new InvalidConfigError([{ field: "path", problem: `has more than ${LOADED_IMAGES_MAX} images` }]);
  }
  if (tag !== undefined && layout.images.length !== 1) {
    const problem = `can name only one image, but the archive has ${layout.images.length}`;
    throw new InvalidConfigError([{ field: "tag", problem }]);
  }
  const loaded: { reference: string; image: StoredImage }[] = [];
  for (const { digest, names } of layout.images) {
    const references = tag === undefined ? names.filter(isFullName) : [tag];
    const parsed = [...new Set(references.map((name) => formatReference(parseReference(name))))];
    let image: StoredImage;
    try {
      image = await importLayoutImage(store, layout, digest, {
        reference: parsed[0] ?? path,
        platform,
        limits,
        claim: undefined,
        signal,
        onProgress,
      });
    } catch (error) {
      if (error instanceof ImagePlatformMissingError && layout.images.length > 1) continue;
      throw error;
    }
    for (const reference of parsed) {
      const found = image.record.digest;
      store.setReference({
        reference,
        platform: formatPlatform(platform),
        digest: found,
        remoteDigest: digest,
      });
      loaded.push({ reference, image });
    }
    if (parsed.length === 0) loaded.push({ reference: image.record.digest, image });
  }
  return loaded;
}

/** Returns whether a name is complete. Layouts may give only a tag, without the repository that it belongs to. */
function isFullName(name: string): boolean {
  return /[/:]/.test(name);
}

export interface SaveRequest {
  readonly images: readonly CatalogEntry[];
  readonly outputPath: string;
  readonly format: ImageArchiveFormat;
  readonly signal: AbortSignal | undefined;
}

/** Writes images to one archive. The file appears complete or not at all. */
export async function saveImages(store: ImageStore, request: SaveRequest): Promise<void> {
  const { outputPath, signal, images, format } = request;
  const contents = describeArchive(store, images, format);
  const target = resolve(outputPath);
  const temporary = `${target}.${randomBytes(6).toString("hex")}.tmp`;
  const archive = pack();
  const output = createWriteStream(temporary, { flags: "wx" });
  try {
    const writing = pipeline(archive, output, signal === undefined ? {} : { signal });
    writing.catch(() => {}); // awaited below, or irrelevant after an earlier error
    for (const { name, bytes } of contents.documents)
      withQuietErrors(archive.entry({ name, mtime: EPOCH }, Buffer.from(bytes)));
    for (const blob of contents.blobs.values()) await addBlob(store, archive, blob, signal);
    archive.finalize();
    await writing;
    await syncFile(temporary);
    renameSync(temporary, target);
  } catch (error) {
    archive.destroy();
    output.destroy();
    rmSync(temporary, { force: true });
    if (signal?.aborted) throw new AbortedError("saving images", signal.reason);
    throw MicrosandboxError.is(error) ? error : new IoError(`write ${outputPath}`, outputPath, error);
  }
}

/** Equal images give equal archives. */
const EPOCH = new Date(0);

interface ArchiveContents {
  readonly documents: readonly { name: string; bytes: Uint8Array }[];
  readonly blobs: ReadonlyMap<Digest, BlobKey>;
}

function describeArchive(
  store: ImageStore,
  images: readonly CatalogEntry[],
  format: ImageArchiveFormat,
): ArchiveContents {
  const blobs = new Map<Digest, BlobKey>();
  const manifests: object[] = [];
  const entries: object[] = [];
  for (const { reference, image } of images) {
    const { manifestDigest, configDigest, layers } = image.record;
    if (manifestDigest === undefined || configDigest === undefined) {
      throw new UnsupportedError(`Cannot save ${reference}: it was made from a plain directory or tar`);
    }
    const bytes = store.blobs.readSmall(manifestDigest);
    const manifest = decodeManifest(bytes, `manifest ${manifestDigest}`);
    if (manifest.kind !== "manifest") throw new UnsupportedError(`Cannot save ${reference}: it is an index`);
    for (const blob of [
      { digest: manifestDigest, sizeBytes: bytes.length },
      { digest: configDigest, sizeBytes: manifest.config.sizeBytes },
      ...layers,
    ]) {
      blobs.set(blob.digest, { digest: blob.digest, sizeBytes: blob.sizeBytes });
    }
    const hasName = !reference.startsWith("sha256:") && !reference.includes("@");
    manifests.push({
      mediaType: MEDIA_TYPES.manifest,
      digest: manifestDigest,
      size: bytes.length,
      ...(hasName
        ? {
            annotations: {
              "io.containerd.image.name": reference,
              "org.opencontainers.image.ref.name": reference,
            },
          }
        : {}),
    });
    entries.push({
      Config: blobName(configDigest),
      RepoTags: hasName ? [reference] : [],
      Layers: layers.map(({ digest }) => blobName(digest)),
    });
  }
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests };
  const documents = [
    { name: "oci-layout", bytes: encodeUtf8('{"imageLayoutVersion":"1.0.0"}') },
    { name: "index.json", bytes: encodeUtf8(JSON.stringify(index)) },
    ...(format === "docker" ? [{ name: "manifest.json", bytes: encodeUtf8(JSON.stringify(entries)) }] : []),
  ];
  return { documents, blobs };
}

function blobName(digest: Digest): string {
  return `blobs/${digest.replace(":", "/")}`;
}

async function addBlob(
  store: ImageStore,
  archive: Pack,
  blob: BlobKey,
  signal: AbortSignal | undefined,
): Promise<void> {
  const done = Promise.withResolvers<void>();
  const entry = archive.entry({ name: blobName(blob.digest), size: blob.sizeBytes, mtime: EPOCH }, (error) =>
    error ? done.reject(error) : done.resolve(),
  );
  done.promise.catch(() => {}); // awaited below, unless reading fails first
  withQuietErrors(entry);
  for await (const chunk of verified(store.blobs.read(blob.digest), blob, `stored blob ${blob.digest}`)) {
    if (signal?.aborted) throw new AbortedError("saving images", signal.reason);
    // A copy, because the reader reuses its buffer while the archive may still hold the chunk.
    if (!entry.write(Buffer.from(chunk))) await drained(entry);
  }
  entry.end(Buffer.alloc(0)); // one runtime's types require an argument
  await done.promise;
}
