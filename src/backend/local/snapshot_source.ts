/**
 * A snapshot as what a new sandbox is made of: its image, and a copy of its disk.
 *
 * @module
 */
import { MiB } from "../../base/bytes.ts";
import { ImageNotFoundError } from "../../image/oci/errors.ts";
import { findStoredDisk, type ResolvedImage } from "../../image/store/resolve_image.ts";
import type { ImageDefaults } from "../../options/image_defaults.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { type CopiedDisk, copyDisk } from "../../snapshot/disk_copy.ts";
import { SnapshotIntegrityError, SnapshotNotFoundError } from "../../snapshot/errors.ts";
import { SnapshotStore, type StoredSnapshot } from "../../snapshot/store.ts";

/** What of an image a boot needs. */
export interface SourceImage {
  /** `undefined`: a directory instead of an image. */
  readonly erofsPath: string | undefined;
  readonly digest: string;
  readonly config: ImageDefaults;
}

/** With `id`, that very snapshot and no namesake. @throws {SnapshotNotFoundError | SnapshotIntegrityError} */
export function openSource(home: string, name: string, id?: string): StoredSnapshot {
  const stored = new SnapshotStore(home).get(name);
  if (id !== undefined && stored.descriptor.id !== id) throw new SnapshotNotFoundError(id);
  return stored;
}

/** What a sandbox has from the snapshot, whatever the caller says. */
export function sourceConfig({
  descriptor,
  digest,
}: StoredSnapshot): Pick<SandboxConfig, "image" | "diskMiB" | "snapshotDigest"> {
  return {
    image: descriptor.image.reference,
    diskMiB: Math.ceil(descriptor.upper.sizeBytes / MiB),
    snapshotDigest: digest,
  };
}

/**
 * The image that the snapshot's disk lies over: the one in the store, else what its reference resolves to now, if that is
 * the same.
 *
 * @throws {ImageNotFoundError} if it is another image now.
 */
export async function resolveSourceImage(
  home: string,
  { descriptor: { image } }: StoredSnapshot,
  resolve: (reference: string) => Promise<ResolvedImage>,
): Promise<SourceImage> {
  try {
    return { erofsPath: findStoredDisk(home, image.digest), digest: image.digest, config: image.config };
  } catch (error) {
    if (!(error instanceof ImageNotFoundError)) throw error;
  }
  const resolved = await resolve(image.reference);
  if (resolved.digest === image.digest) return resolved;
  throw new ImageNotFoundError(
    image.digest,
    `in the image store, and ${image.reference} is another image now`,
  );
}

/**
 * Copies the snapshot's disk. Where the copy reads the content, it is held against the descriptor.
 *
 * @throws {SnapshotNotFoundError} if it was removed or replaced, be it during the copy.
 * @throws {SnapshotIntegrityError} if the disk is not what it was.
 */
export async function copySourceDisk(
  home: string,
  { descriptor, upperPath }: StoredSnapshot,
  to: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { sizeBytes, integrity } = descriptor.upper;
  let copied: CopiedDisk | undefined;
  let failure: unknown;
  try {
    copied = await copyDisk({ from: upperPath, to, signal });
    if (copied.contentDigest === integrity.digest) return;
  } catch (error) {
    failure = error;
  }
  openSource(home, descriptor.name, descriptor.id); // if it is gone or replaced, that error says more
  if (copied === undefined) throw failure;
  if (copied.contentDigest !== undefined || copied.sizeBytes !== sizeBytes)
    throw new SnapshotIntegrityError(descriptor.name, "the content of its disk has changed");
}
