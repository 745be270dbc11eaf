/**
 * Turns a local path into an image in the store: a root file system as a directory or tar, an OCI layout, or an image
 * archive.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdirSync, realpathSync } from "node:fs";
import { join, resolve } from "node:path";
import { InvalidConfigError, IoError } from "../../base/errors.ts";
import { isAbsence } from "../../platform/if_present.ts";
import { detectImageSource, type ImageSourceKind } from "../detect.ts";
import { scanDirectory } from "../directory_source.ts";
import { ErofsWriter, writeErofs } from "../erofs/writer.ts";
import { unpackArchive } from "../oci/archive.ts";
import type { Digest } from "../oci/digest.ts";
import { ImageManifestInvalidError, ImageNotFoundError, ImagePlatformMissingError } from "../oci/errors.ts";
import { EMPTY_IMAGE_CONFIG } from "../oci/image_config.ts";
import { setLinkMode } from "../oci/layer_merger.ts";
import { directoryFiles, type ImageLayout, openLayout } from "../oci/layout.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import type { PullProgressListener } from "../progress.ts";
import { readFileChunks } from "../stream/byte_stream.ts";
import { decompressDetected } from "../stream/compression.ts";
import { UnpackBudget } from "../stream/unpack_budget.ts";
import { applyTar } from "../tar_source.ts";
import { PackedTree } from "../tree/packed_tree.ts";
import { buildImage, type ImageBuildLimits, resolvedEvent } from "./image_builder.ts";
import type { ImageClaim, ImageStore, StoredImage } from "./image_store.ts";
import { resolveManifest } from "./pull.ts";
import { FORMAT_VERSION, readRecord, sourceRecordSchema, writeRecord } from "./records.ts";
import { readSourceKey } from "./source_key.ts";

export interface LocalImageRequest {
  readonly path: string;
  readonly platform: Platform;
  readonly limits: ImageBuildLimits;
  readonly claim: ImageClaim | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: PullProgressListener;
}

/** Returns the image at a path. Does nothing if the path has not changed since the last time. */
export async function importLocalImage(store: ImageStore, request: LocalImageRequest): Promise<StoredImage> {
  const { path, signal, claim, onProgress } = request;
  if (path.includes("\0"))
    throw new InvalidConfigError([{ field: "image", problem: "must not contain a NUL" }]);
  const location = realPath(path);
  onProgress({ kind: "resolving", reference: path });
  return await store.workspaces.run("source", lockKey(location), signal, async (directory) => {
    const before = await readSourceKey(location, signal);
    const recordPath = store.paths.source(`${before.key}\n${formatPlatform(request.platform)}`);
    const known = readRecord(recordPath, sourceRecordSchema);
    const found = known === undefined ? undefined : await store.use(known.digest, claim, signal);
    if (found !== undefined) {
      onProgress(resolvedEvent(path, found));
      return found;
    }

    const source = await detectImageSource(location, { ...request.limits, signal });
    const image = await convert(store, request, source, directory);
    const after = await readSourceKey(location, signal);
    if (before.isSettled && after.key === before.key) {
      writeRecord(recordPath, { version: FORMAT_VERSION, path: location, digest: image.record.digest });
    }
    return image;
  });
}

async function convert(
  store: ImageStore,
  request: LocalImageRequest,
  source: ImageSourceKind,
  directory: () => string,
): Promise<StoredImage> {
  const { path, signal } = request;
  switch (source.kind) {
    case "directory":
      return await convertDirectory(store, request, join(directory(), "image.erofs"));
    case "tar":
      return await convertTar(store, request, join(directory(), "image.erofs"));
    case "ociLayout":
      return await importLayout(store, request, await openLayout(directoryFiles(path), signal));
    case "imageArchive": {
      const unpacked = join(directory(), "archive");
      mkdirSync(unpacked, { mode: 0o700 });
      const files = await unpackArchive(path, unpacked, request.limits.maxUnpackedBytes, signal);
      return await importLayout(store, request, await openLayout(files, signal));
    }
    default:
      throw new InvalidConfigError(
        [{ field: "image", problem: `${path} is neither a directory, nor an OCI layout, nor a tar` }],
        {
          hint: "an image archive or a root file system must be a tar, plain or compressed with gzip or zstd",
        },
      );
  }
}

/** Converts a directory. The image is named by the hash of its disk, so equal trees give equal images. */
async function convertDirectory(
  store: ImageStore,
  request: LocalImageRequest,
  erofsPath: string,
): Promise<StoredImage> {
  const { path, signal } = request;
  const root = await scanDirectory(path, { signal });
  await writeErofs(root, erofsPath, { signal });
  const hash = createHash("sha256");
  for await (const chunk of readFileChunks(erofsPath)) hash.update(chunk);
  return await addRootfs(store, request, "directory", erofsPath, `sha256:${hash.digest("hex")}`);
}

/** Converts a tar. The image is named by the hash of the tar. */
async function convertTar(
  store: ImageStore,
  request: LocalImageRequest,
  erofsPath: string,
): Promise<StoredImage> {
  const { path, signal } = request;
  const hash = createHash("sha256");
  using writer = new ErofsWriter(erofsPath, { signal });
  const { root, createDirectory } = new PackedTree();
  const options = { signal, createDirectory, afterMember: setLinkMode }; // device nodes and absolute names are refused by name
  const tar = new UnpackBudget(request.limits.maxUnpackedBytes).spend(
    decompressDetected(hashed(readFileChunks(path), hash)),
  );
  await applyTar(tar, root, writer, options);
  await writer.finish(root);
  return await addRootfs(store, request, "tar", erofsPath, `sha256:${hash.digest("hex")}`);
}

async function* hashed(
  source: AsyncIterable<Uint8Array>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}

async function addRootfs(
  store: ImageStore,
  { path, platform, claim, signal, onProgress }: LocalImageRequest,
  origin: "directory" | "tar",
  erofsPath: string,
  digest: Digest,
): Promise<StoredImage> {
  const { os, architecture } = platform;
  const image = await store.ensure(digest, { claim, signal }, () =>
    store.add(erofsPath, {
      digest,
      origin,
      localPath: realPath(path),
      os,
      architecture,
      layers: [],
      config: structuredClone(EMPTY_IMAGE_CONFIG) as StoredImage["record"]["config"],
    }),
  );
  onProgress(resolvedEvent(path, image));
  return image;
}

async function importLayout(
  store: ImageStore,
  request: LocalImageRequest,
  layout: ImageLayout,
): Promise<StoredImage> {
  const candidates = new Map<Digest, string>();
  const offers: string[] = [];
  for (const { digest, names } of layout.images) {
    try {
      const resolved = await resolveInLayout(layout, digest, request.platform, request.path);
      candidates.set(resolved.digest, names.join(", ") || digest);
    } catch (error) {
      if (!(error instanceof ImagePlatformMissingError)) throw error;
      offers.push(...error.available);
    }
  }
  const [chosen, ...others] = candidates.keys();
  if (chosen === undefined) throw new ImagePlatformMissingError(formatPlatform(request.platform), offers);
  if (others.length > 0) {
    const names = [...candidates.values()].join("; ");
    throw new ImageManifestInvalidError(request.path, `it has several images: ${names}`, {
      hint: "load it with `Image.load()` and use the image's name",
    });
  }
  return await importLayoutImage(store, layout, chosen, { ...request, reference: request.path });
}

/** Puts an image of a layout into the store. */
export async function importLayoutImage(
  store: ImageStore,
  layout: ImageLayout,
  digest: Digest,
  request: Omit<LocalImageRequest, "path"> & { readonly reference: string },
): Promise<StoredImage> {
  const { platform, reference, limits, claim, signal, onProgress } = request;
  const resolved = await resolveInLayout(layout, digest, platform, reference);
  await store.blobs.put(resolved.digest, resolved.bytes, signal);
  return await buildImage(store, {
    digest: resolved.digest,
    manifest: resolved.manifest,
    source: { read: (blob) => layout.readBlob(blob) },
    platform,
    reference,
    limits,
    claim,
    signal,
    onProgress,
  });
}

function resolveInLayout(
  layout: ImageLayout,
  start: Digest,
  platform: Platform,
  name: string,
): ReturnType<typeof resolveManifest> {
  return resolveManifest(platform, name, (digest = start) =>
    Promise.resolve({ bytes: layout.readManifest(digest), digest }),
  );
}

/** Resolves symbolic links in a path. @throws {ImageNotFoundError | IoError} */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (!isAbsence(error)) throw new IoError(`read ${path}`, path, error);
    const hint = `no such file or directory: ${resolve(path)}; for an image of a registry leave out the leading ./ or /`;
    throw new ImageNotFoundError(path, "on this machine", { cause: error, hint });
  }
}

/** Returns a key that is short enough for a directory's name, whatever the path. */
function lockKey(path: string): string {
  return createHash("sha256").update(path).digest("hex");
}
