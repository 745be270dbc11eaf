/**
 * Reads images from local files: directories in the OCI image layout, and archives made by `docker save`, `skopeo`,
 * `podman` or this library.
 *
 * Sources: OCI Image Specification 1.1, image-layout.md; Docker Image Specification 1.2, "Combined Image JSON +
 * Filesystem Changeset Format".
 *
 * @module
 */
import { lstatSync, readFileSync, realpathSync } from "node:fs";
import { join, posix, sep } from "node:path";
import { z } from "zod";
import { encodeUtf8 } from "../../base/bytes.ts";
import { AbortedError, IoError } from "../../base/errors.ts";
import { isAbsence } from "../../platform/if_present.ts";
import { readFileChunks } from "../stream/byte_stream.ts";
import { detectCompression } from "../stream/compression.ts";
import { type Digest, digestFileName, digestLike, sha256Digest, verified } from "./digest.ts";
import { ImageManifestInvalidError } from "./errors.ts";
import { CONFIG_BYTES_MAX, decodeImageConfig } from "./image_config.ts";
import { decodeJson, decodeManifest, LAYERS_MAX, MANIFEST_BYTES_MAX, MEDIA_TYPES } from "./manifest.ts";

/** Most images in one archive of `docker save`. */
export const ARCHIVE_IMAGES_MAX = 1024;
/** Most links that one name in an archive may lead through. */
const LINKS_FOLLOWED_MAX = 8;

/** A blob of a layout. */
export interface LayoutBlob {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** An image, or an index of images, in a layout. */
export interface LayoutImage {
  readonly digest: Digest;
  /** Names from the layout. There may be none, and they need not be valid references. */
  readonly names: readonly string[];
}

/** Images and their blobs, wherever they are stored. */
export interface ImageLayout {
  readonly images: readonly LayoutImage[];
  /** Returns the verified bytes of a manifest or index. */
  readManifest(digest: Digest): Uint8Array;
  /** Returns the bytes of a blob, which are verified by the time the iteration ends. */
  readBlob(blob: LayoutBlob): AsyncIterable<Uint8Array>;
}

/** Files by their names in a layout. */
export interface LayoutFiles {
  /** Name of the whole in errors, e.g. its path. */
  readonly subject: string;
  /** Returns the path of a file on this machine, or `undefined` if it is missing. */
  find(name: string): string | undefined;
  /** Returns the file's SHA-256 digest if it is already known. */
  digestOf(name: string): Digest | undefined;
}

/** Returns the files of a directory. Symbolic links may not lead out of it. */
export function directoryFiles(directory: string): LayoutFiles {
  const root = realpathSync(directory);
  return {
    subject: directory,
    digestOf: () => undefined,
    find: (name) => {
      try {
        const path = realpathSync(join(root, name));
        const isInside = path.startsWith(root.endsWith(sep) ? root : root + sep);
        return isInside && lstatSync(path).isFile() ? path : undefined;
      } catch (error) {
        if (isAbsence(error)) return undefined;
        throw new IoError(`read ${join(directory, name)}`, directory, error);
      }
    },
  };
}

/** The files of an unpacked archive. */
export class ArchiveFiles implements LayoutFiles {
  readonly subject: string;
  readonly #files = new Map<string, { path: string; digest: Digest }>();
  readonly #links = new Map<string, string>();

  constructor(subject: string) {
    this.subject = subject;
  }

  addFile(name: string, path: string, digest: Digest): void {
    this.#links.delete(name);
    this.#files.set(name, { path, digest });
  }

  /** @param target Name in the archive that `name` stands for. */
  addLink(name: string, target: string): void {
    this.#files.delete(name);
    this.#links.set(name, target);
  }

  find(name: string): string | undefined {
    return this.#resolve(name)?.path;
  }

  digestOf(name: string): Digest | undefined {
    return this.#resolve(name)?.digest;
  }

  #resolve(name: string): { path: string; digest: Digest } | undefined {
    let current = posix.normalize(name);
    for (let followed = 0; followed <= LINKS_FOLLOWED_MAX; followed++) {
      const file = this.#files.get(current);
      if (file !== undefined) return file;
      const target = this.#links.get(current);
      if (target === undefined) return undefined;
      current = target;
    }
    return undefined;
  }
}

const dockerArchiveSchema = z
  .array(
    z.object({
      Config: z.string(),
      RepoTags: z.array(z.string()).nullish(),
      Layers: z.array(z.string()).max(LAYERS_MAX),
    }),
  )
  .max(ARCHIVE_IMAGES_MAX);

/**
 * Opens a layout by its `index.json`, or else by the `manifest.json` of `docker save`.
 *
 * @throws {ImageManifestInvalidError} Neither file exists, or it is invalid.
 * @throws {AbortedError}
 */
export async function openLayout(files: LayoutFiles, signal?: AbortSignal): Promise<ImageLayout> {
  const hasIndex = files.find("index.json") !== undefined && files.find("oci-layout") !== undefined;
  if (hasIndex) return openOciLayout(files);
  if (files.find("manifest.json") !== undefined) return await openDockerArchive(files, signal);
  throw new ImageManifestInvalidError(
    files.subject,
    "it has neither an index.json with an oci-layout nor a manifest.json",
  );
}

function openOciLayout(files: LayoutFiles): ImageLayout {
  const index = decodeManifest(
    readSmall(files, "index.json", MANIFEST_BYTES_MAX),
    `index of ${files.subject}`,
  );
  if (index.kind !== "index") {
    throw new ImageManifestInvalidError(`index of ${files.subject}`, "it is a manifest");
  }
  const blobName = (digest: Digest): string => `blobs/${digest.replace(":", "/")}`;
  return {
    images: index.manifests
      .filter(({ isAttestation }) => !isAttestation)
      .map(({ digest, imageName, referenceName }) => ({
        digest,
        names: [imageName, referenceName].filter((name) => name !== undefined),
      })),
    readManifest: (digest) => {
      const bytes = readSmall(files, blobName(digest), MANIFEST_BYTES_MAX);
      checkManifest(bytes, digest, files.subject);
      return bytes;
    },
    readBlob: (blob) => readChecked(files, blobName(blob.digest), blob),
  };
}

/**
 * Opens an archive of `docker save`. It has no manifests, so one is made; the same image always gets the same manifest.
 */
async function openDockerArchive(files: LayoutFiles, signal: AbortSignal | undefined): Promise<ImageLayout> {
  const subject = `manifest.json of ${files.subject}`;
  const entries = decodeJson(
    readSmall(files, "manifest.json", MANIFEST_BYTES_MAX),
    dockerArchiveSchema,
    MANIFEST_BYTES_MAX,
    subject,
  );
  const manifests = new Map<Digest, Uint8Array>();
  const blobs = new Map<Digest, string>();
  /** Images in an archive share layers; each layer is read once. */
  const described = new Map<string, DescribedLayer>();
  const images: LayoutImage[] = [];
  for (const { Config, RepoTags, Layers } of entries) {
    const config = readSmall(files, Config, CONFIG_BYTES_MAX);
    const configDigest = sha256Digest(config);
    blobs.set(configDigest, Config);
    const { diffIds } = decodeImageConfig(config, `${Config} of ${files.subject}`);
    if (diffIds.length !== Layers.length) {
      throw new ImageManifestInvalidError(subject, `${Layers.length} layers, but ${diffIds.length} diff ids`);
    }
    const layers = [];
    for (const name of Layers) {
      if (signal?.aborted) throw new AbortedError("reading an image archive", signal.reason);
      const layer = described.get(name) ?? (await describeLayer(files, name));
      described.set(name, layer);
      blobs.set(layer.digest, name);
      layers.push(layer);
    }
    const manifest = encodeUtf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.manifest,
        config: { mediaType: MEDIA_TYPES.config, digest: configDigest, size: config.length },
        layers,
      }),
    );
    const digest = sha256Digest(manifest);
    manifests.set(digest, manifest);
    images.push({ digest, names: RepoTags ?? [] });
  }
  return {
    images,
    readManifest: (digest) => {
      const bytes = manifests.get(digest);
      if (bytes === undefined) throw new ImageManifestInvalidError(subject, `no image ${digest}`);
      return bytes;
    },
    readBlob: (blob) => readChecked(files, blobs.get(blob.digest) ?? digestFileName(blob.digest), blob),
  };
}

/** A layer's descriptor in a manifest. */
interface DescribedLayer {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

async function describeLayer(files: LayoutFiles, name: string): Promise<DescribedLayer> {
  const path = findFile(files, name);
  const digest = files.digestOf(name);
  if (digest === undefined)
    throw new ImageManifestInvalidError(files.subject, `"${name}" is not in the archive`);
  let head: Uint8Array = new Uint8Array();
  for await (const chunk of readFileChunks(path)) {
    head = chunk;
    break;
  }
  const compression = detectCompression(head);
  const mediaType = { none: MEDIA_TYPES.layer, gzip: MEDIA_TYPES.layerGzip, zstd: MEDIA_TYPES.layerZstd };
  return { mediaType: mediaType[compression], digest, size: lstatSync(path).size };
}

function readChecked(files: LayoutFiles, name: string, blob: LayoutBlob): AsyncIterable<Uint8Array> {
  return verified(readFileChunks(findFile(files, name)), blob, `blob ${blob.digest} of ${files.subject}`);
}

function readSmall(files: LayoutFiles, name: string, bytesMax: number): Uint8Array {
  const path = findFile(files, name);
  try {
    const { size } = lstatSync(path);
    if (size > bytesMax) {
      throw new ImageManifestInvalidError(files.subject, `"${name}" is larger than ${bytesMax} bytes`);
    }
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    throw error instanceof ImageManifestInvalidError ? error : new IoError(`read ${path}`, path, error);
  }
}

function findFile(files: LayoutFiles, name: string): string {
  const path = files.find(name);
  if (path !== undefined) return path;
  throw new ImageManifestInvalidError(files.subject, `"${name.slice(0, 200)}" is not in it`);
}

function checkManifest(bytes: Uint8Array, digest: Digest, subject: string): void {
  const actual = digestLike(digest, bytes);
  if (actual !== digest)
    throw new ImageManifestInvalidError(subject, `manifest ${digest} has digest ${actual}`);
}
