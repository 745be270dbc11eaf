/** Lists the images of a store, and removes them. @module */
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { AbortedError } from "../../base/errors.ts";
import { namesIfPresent } from "../../platform/if_present.ts";
import { type Digest, digestOfFileName, isDigest } from "../oci/digest.ts";
import { ImageInUseError, ImageNotFoundError } from "../oci/errors.ts";
import { formatPlatform, hostPlatform } from "../oci/platform.ts";
import { formatReference, parseReference } from "../oci/reference.ts";
import type { ImageStore, StoredImage } from "./image_store.ts";
import {
  type ReferenceRecord,
  readRecord,
  referenceRecordSchema,
  sourceRecordSchema,
  TEMPORARY_SUFFIX,
} from "./records.ts";

/** Tells which images must stay. Implemented by the room that keeps sandboxes and snapshots. */
export interface ImageUsage {
  /** Returns the digests of images that sandboxes, running or not, or snapshots need. */
  digestsInUse(): Promise<ReadonlySet<string>>;
}

/** An image under one of its names. */
export interface CatalogEntry {
  /** Full name, or the digest if the image has no name. */
  readonly reference: string;
  readonly image: StoredImage;
  readonly lastUsedAt: Date;
}

/** Result of {@linkcode pruneImages}. */
export interface ImagePruneReport {
  /** Names of the removed images; the digest for an image without a name. */
  readonly removed: readonly string[];
  /** Number of removed names. */
  readonly imageRefsRemoved: number;
  /** Number of removed images that came from a registry or archive. */
  readonly manifestsRemoved: number;
  /** Number of removed layers. */
  readonly layersRemoved: number;
  /** Number of removed disks; there is one per image. */
  readonly fsmetaRemoved: number;
  /** Always 0: images here have no disk descriptors. */
  readonly vmdkRemoved: 0;
  /** Size of the removed disks, manifests, configurations and layers, in bytes. */
  readonly bytesReclaimed: number;
}

/** Returns all images, sorted by name. An image with several names is listed once for each. */
export function listImages(store: ImageStore): CatalogEntry[] {
  const entries: CatalogEntry[] = [];
  const named = new Set<Digest>();
  for (const { reference, digest } of listReferences(store)) {
    const image = store.find(digest);
    if (image === undefined) continue;
    named.add(digest);
    entries.push(entryOf(store, reference, image));
  }
  for (const digest of listDigests(store)) {
    const image = named.has(digest) ? undefined : store.find(digest);
    if (image !== undefined) entries.push(entryOf(store, digest, image));
  }
  return entries.sort((a, b) => (a.reference < b.reference ? -1 : 1));
}

/**
 * Returns the image with a name, preferring this machine's platform, or with a digest.
 *
 * @throws {ImageNotFoundError | ImageReferenceInvalidError}
 */
export function getImage(store: ImageStore, name: string): CatalogEntry {
  const { reference, digest } = lookUp(store, name);
  const image = digest === undefined ? undefined : store.find(digest);
  if (image === undefined) throw new ImageNotFoundError(name, "in the local store");
  return entryOf(store, reference, image);
}

/**
 * Removes a name, and with the last name the image.
 *
 * @param force Remove the name even if the image is used; a later prune removes the disk.
 * @throws {ImageNotFoundError | ImageInUseError}
 */
export async function removeImage(
  store: ImageStore,
  usage: ImageUsage,
  name: string,
  force: boolean,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { reference, digest } = lookUp(store, name);
  if (digest === undefined) throw new ImageNotFoundError(name, "in the local store");
  await store.workspaces.run("image", digest, signal, async () => {
    if (store.find(digest) === undefined) throw new ImageNotFoundError(name, "in the local store");
    const isUsed = (await usage.digestsInUse()).has(digest);
    if (isUsed && !force) throw new ImageInUseError(name);
    const references = listReferences(store).filter((record) => record.digest === digest);
    const isDigestGiven = reference === digest;
    const doomed = references.filter((record) => isDigestGiven || record.reference === reference);
    for (const record of doomed) removeReference(store, record);
    if (!isUsed && doomed.length === references.length) store.remove(digest);
  });
  removeUnneededBlobs(store);
}

/**
 * Removes images that nothing uses, leftovers of interrupted work, and blobs that belong to no image.
 *
 * @param all Also remove images that have a name.
 */
export async function pruneImages(
  store: ImageStore,
  usage: ImageUsage,
  { all, signal }: { readonly all: boolean; readonly signal: AbortSignal | undefined },
): Promise<ImagePruneReport> {
  store.workspaces.removeInterrupted();
  const removed: string[] = [];
  const layers = new Set<Digest>();
  let [imageRefsRemoved, manifestsRemoved, fsmetaRemoved, bytesReclaimed] = [0, 0, 0, 0];
  const inUse = await usage.digestsInUse();
  for (const digest of listDigests(store)) {
    if (inUse.has(digest)) continue;
    if (signal?.aborted) throw new AbortedError("pruning images", signal.reason);
    using lock = store.locks.tryAcquire("image", digest, "exclusive");
    if (lock === undefined) continue; // another process is about to use it
    if ((await usage.digestsInUse()).has(digest)) continue; // another process has started to use it
    const references = listReferences(store).filter((record) => record.digest === digest);
    if (references.length > 0 && !all) continue;
    for (const record of references) removeReference(store, record);
    removed.push(...(references.length === 0 ? [digest] : references.map(({ reference }) => reference)));
    const record = store.find(digest)?.record;
    for (const layer of record?.layers ?? []) layers.add(layer.digest);
    imageRefsRemoved += references.length;
    if (record?.manifestDigest !== undefined) manifestsRemoved++;
    fsmetaRemoved++;
    bytesReclaimed += store.remove(digest);
  }
  removeStaleSources(store);
  const blobs = removeUnneededBlobs(store);
  bytesReclaimed += blobs.bytes;
  return {
    removed: removed.sort(),
    imageRefsRemoved,
    manifestsRemoved,
    layersRemoved: layers.intersection(blobs.digests).size,
    fsmetaRemoved,
    vmdkRemoved: 0,
    bytesReclaimed,
  };
}

/**
 * Removes blobs that belong to no image. Removes none while another process adds to the store, because an unfinished
 * image may need them.
 */
function removeUnneededBlobs(store: ImageStore): { digests: Set<Digest>; bytes: number } {
  const removed = { digests: new Set<Digest>(), bytes: 0 };
  using alone = store.locks.tryAcquire("store", "", "exclusive");
  if (alone === undefined) return removed;
  const needed = new Set<Digest>();
  for (const digest of listDigests(store)) {
    const record = store.find(digest)?.record;
    for (const blob of [record?.manifestDigest, record?.configDigest])
      if (blob !== undefined) needed.add(blob);
    for (const layer of record?.layers ?? []) needed.add(layer.digest);
  }
  removeHalfRecords(store);
  for (const name of namesIfPresent(store.paths.blobs)) {
    const digest = digestOfFileName(name);
    if (digest === undefined || needed.has(digest)) continue;
    removed.digests.add(digest);
    removed.bytes += store.blobs.remove(digest);
  }
  return removed;
}

/** Removes records that a killed process left half written. Call it only while no process adds to the store. */
function removeHalfRecords({ paths }: ImageStore): void {
  for (const directory of [paths.images, paths.references, paths.sources]) {
    for (const name of namesIfPresent(directory)) {
      if (name.endsWith(TEMPORARY_SUFFIX)) rmSync(join(directory, name), { force: true });
    }
  }
}

function removeStaleSources(store: ImageStore): void {
  for (const name of namesIfPresent(store.paths.sources)) {
    const path = join(store.paths.sources, name);
    const digest = readRecord(path, sourceRecordSchema)?.digest;
    if (digest === undefined || store.find(digest) === undefined) rmSync(path, { force: true });
  }
}

/** Returns the digests that have a disk or a record, complete or not. */
function listDigests(store: ImageStore): Set<Digest> {
  const digests = new Set<Digest>();
  for (const name of namesIfPresent(store.paths.images)) {
    const digest = digestOfFileName(name.replace(/\.(?:erofs|json)$/, ""));
    if (digest !== undefined) digests.add(digest);
  }
  return digests;
}

function listReferences(store: ImageStore): ReferenceRecord[] {
  return namesIfPresent(store.paths.references)
    .filter((name) => name.endsWith(".json"))
    .map((name) => readRecord(join(store.paths.references, name), referenceRecordSchema))
    .filter((record) => record !== undefined);
}

function removeReference(store: ImageStore, { reference, platform }: ReferenceRecord): void {
  rmSync(store.paths.reference(reference, platform), { force: true });
}

function lookUp(store: ImageStore, name: string): { reference: string; digest: Digest | undefined } {
  if (isDigest(name)) return { reference: name, digest: name };
  const parsed = parseReference(name);
  const reference = formatReference(parsed);
  const here = store.findReference(reference, formatPlatform(hostPlatform()));
  const record = here ?? listReferences(store).find((candidate) => candidate.reference === reference);
  return { reference, digest: record?.digest ?? parsed.digest };
}

function entryOf(store: ImageStore, reference: string, image: StoredImage): CatalogEntry {
  const stats = statSync(store.paths.imageRecord(image.record.digest), { throwIfNoEntry: false });
  return { reference, image, lastUsedAt: stats?.mtime ?? new Date(image.record.createdAt) };
}
