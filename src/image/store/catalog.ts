/**
 * What is in a store, and taking it out again.
 *
 * @module
 */
import { rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { AbortedError } from "../../base/errors.ts";
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
import { listNames } from "./workspace.ts";

/** Says which images must stay. Whoever keeps sandboxes and snapshots implements it. */
export interface ImageUsage {
  /** Digests of the images that sandboxes or snapshots need, running or not. */
  digestsInUse(): Promise<ReadonlySet<string>>;
}

/** An image under one of its names. */
export interface CatalogEntry {
  /** The name in full; the digest of an image that has none. */
  readonly reference: string;
  readonly image: StoredImage;
  readonly lastUsedAt: Date;
}

/** What {@linkcode pruneImages} removed. */
export interface ImagePruneReport {
  /** Names of the removed images; the digest where there was none. */
  readonly removed: readonly string[];
  /** How many names were removed. */
  readonly imageRefsRemoved: number;
  /** Images of a registry or archive, whatever their names. */
  readonly manifestsRemoved: number;
  /** Layers that no image has any more. */
  readonly layersRemoved: number;
  /** Disks: one for each image, with the metadata of its file system. */
  readonly fsmetaRemoved: number;
  /** Always 0: there are no descriptors of disks in parts. */
  readonly vmdkRemoved: 0;
  /** Bytes of the removed disks, manifests, configurations and layers. */
  readonly bytesReclaimed: number;
}

/** All images, by name. An image with several names is there several times. */
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
 * The image of a name (this machine's platform first) or digest.
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
 * Removes a name, and the image with its last one.
 *
 * @param force Remove the name also while the image is used; the disk then goes with a later prune.
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
 * Removes images that nothing uses, whatever is left of interrupted work, and blobs that no image has.
 *
 * @param all Removes images that have a name, too. Otherwise they stay.
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
    if (lock === undefined) continue; // somebody is just about to use it
    if ((await usage.digestsInUse()).has(digest)) continue; // somebody was, a moment ago
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

/** Blobs of no image. While anything is added to the store they all stay, as an unfinished image may need them. */
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
  for (const name of listNames(store.paths.blobs)) {
    const digest = digestOfFileName(name);
    if (digest === undefined || needed.has(digest)) continue;
    removed.digests.add(digest);
    removed.bytes += store.blobs.remove(digest);
  }
  return removed;
}

/** What a process that was killed while it wrote a record has left. To be called while nobody adds to the store. */
function removeHalfRecords({ paths }: ImageStore): void {
  for (const directory of [paths.images, paths.references, paths.sources]) {
    for (const name of listNames(directory)) {
      if (name.endsWith(TEMPORARY_SUFFIX)) rmSync(join(directory, name), { force: true });
    }
  }
}

function removeStaleSources(store: ImageStore): void {
  for (const name of listNames(store.paths.sources)) {
    const path = join(store.paths.sources, name);
    const digest = readRecord(path, sourceRecordSchema)?.digest;
    if (digest === undefined || store.find(digest) === undefined) rmSync(path, { force: true });
  }
}

/** The digests that have a disk or a record, whole or not. */
function listDigests(store: ImageStore): Set<Digest> {
  const digests = new Set<Digest>();
  for (const name of listNames(store.paths.images)) {
    const digest = digestOfFileName(name.replace(/\.(?:erofs|json)$/, ""));
    if (digest !== undefined) digests.add(digest);
  }
  return digests;
}

function listReferences(store: ImageStore): ReferenceRecord[] {
  return listNames(store.paths.references)
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
