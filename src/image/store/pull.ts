/** Turns a reference into an image in the store, through a registry if needed. @module */
import { InvalidConfigError } from "../../base/errors.ts";
import type { Digest } from "../oci/digest.ts";
import { ImageManifestInvalidError, ImageNotFoundError } from "../oci/errors.ts";
import { choosePlatform, decodeManifest, type ImageManifest } from "../oci/manifest.ts";
import { formatPlatform, type Platform } from "../oci/platform.ts";
import { formatReference, type ImageReference } from "../oci/reference.ts";
import { RegistryClient, type RegistryClientOptions, type RegistryOptions } from "../oci/registry_client.ts";
import type { PullProgressListener } from "../progress.ts";
import { buildImage, checkPlatform, type ImageBuildLimits, resolvedEvent } from "./image_builder.ts";
import type { ImageClaim, ImageStore, StoredImage } from "./image_store.ts";

/** When to contact the registry. */
export type PullPolicy =
  /** Only if the image is not in the store. */
  | "if-missing"
  /** Each time. Unchanged layers are not downloaded again. */
  | "always"
  /** Never. */
  | "never";

const PULL_POLICIES: readonly string[] = ["if-missing", "always", "never"] satisfies PullPolicy[];

/** Checks a policy from an untyped caller. @throws {InvalidConfigError} */
export function checkPullPolicy(policy: string | undefined): void {
  if (policy === undefined || PULL_POLICIES.includes(policy)) return;
  const problem = `must be one of ${PULL_POLICIES.join(", ")}: current value is ${JSON.stringify(policy)}`;
  throw new InvalidConfigError([{ field: "pullPolicy", problem }]);
}

/** Most nested indexes to follow. */
export const INDEX_DEPTH_MAX = 3;

export interface PullRequest {
  readonly reference: ImageReference;
  readonly platform: Platform;
  readonly pullPolicy: PullPolicy;
  readonly registry: RegistryOptions & Pick<RegistryClientOptions, "http" | "environment">;
  readonly limits: ImageBuildLimits;
  readonly claim: ImageClaim | undefined;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: PullProgressListener;
}

/** Returns the image that a reference stands for, as the pull policy says. */
export async function pullImage(store: ImageStore, request: PullRequest): Promise<StoredImage> {
  const { reference, pullPolicy, claim, signal } = request;
  const name = formatReference(reference);
  request.onProgress({ kind: "resolving", reference: name });
  if (pullPolicy !== "always") {
    const digest = findLocally(store, reference, request.platform);
    const found = digest === undefined ? undefined : await store.use(digest, claim, signal);
    if (found !== undefined) {
      request.onProgress(resolvedEvent(name, found));
      return found;
    }
  }
  if (pullPolicy === "never") {
    throw new ImageNotFoundError(name, "in the local store", {
      hint: 'pull it first, or use the pull policy "if-missing"',
    });
  }
  const client = new RegistryClient({ ...request.registry, registry: reference.registry });
  try {
    return await pullFrom(client, store, request, name);
  } finally {
    client.close();
  }
}

/**
 * Returns the digest that a name had at the last pull, or that the reference states.
 *
 * @throws {ImagePlatformMissingError} The stated digest is of an image for another platform.
 */
function findLocally(store: ImageStore, reference: ImageReference, platform: Platform): Digest | undefined {
  const stated = reference.digest === undefined ? undefined : store.find(reference.digest);
  if (stated === undefined)
    return store.findReference(formatReference(reference), formatPlatform(platform))?.digest;
  checkPlatform(stated.record, platform);
  return stated.record.digest;
}

async function pullFrom(
  client: RegistryClient,
  store: ImageStore,
  request: PullRequest,
  name: string,
): Promise<StoredImage> {
  const { reference, platform, claim, signal, onProgress } = request;
  const { repository } = reference;
  const platformName = formatPlatform(platform);
  const wanted = reference.digest ?? reference.tag!;

  const known = store.findReference(name, platformName);
  if (known !== undefined && reference.digest === undefined) {
    // A HEAD request does not count against a registry's limits.
    const current = await client.headManifest(repository, wanted, signal);
    const found = current === known.remoteDigest ? await store.use(known.digest, claim, signal) : undefined;
    if (found !== undefined) {
      onProgress(resolvedEvent(name, found));
      return found;
    }
  }

  const resolved = await resolveManifest(platform, name, async (digest) => {
    const fetched = await client.fetchManifest(repository, digest ?? wanted, signal);
    return fetched;
  });
  await store.blobs.put(resolved.digest, resolved.bytes, signal);
  const image = await buildImage(store, {
    digest: resolved.digest,
    manifest: resolved.manifest,
    platform,
    reference: name,
    limits: request.limits,
    claim,
    signal,
    onProgress,
    source: { read: (blob, stop) => client.readBlob(repository, blob, stop) },
  });
  store.setReference({
    reference: name,
    platform: platformName,
    digest: resolved.digest,
    remoteDigest: resolved.remoteDigest,
  });
  return image;
}

/** A manifest found for a platform. */
export interface ResolvedManifest {
  readonly bytes: Uint8Array;
  readonly digest: Digest;
  readonly manifest: ImageManifest;
  /** Digest at which the search began: of an index, or of the manifest itself. */
  readonly remoteDigest: Digest;
}

/**
 * Finds the manifest of a platform, starting from a manifest or index.
 *
 * @param fetch Returns the verified document with a digest, or without one the document to start from.
 * @throws {ImagePlatformMissingError | ImageManifestInvalidError}
 */
export async function resolveManifest(
  platform: Platform,
  name: string,
  fetch: (digest?: Digest) => Promise<{ readonly bytes: Uint8Array; readonly digest: Digest }>,
): Promise<ResolvedManifest> {
  let { bytes, digest } = await fetch();
  const remoteDigest = digest;
  for (let depth = 0; depth <= INDEX_DEPTH_MAX; depth++) {
    const document = decodeManifest(bytes, `manifest of ${name}`);
    if (document.kind === "manifest") return { bytes, digest, manifest: document, remoteDigest };
    const entry = choosePlatform(document, platform);
    ({ bytes, digest } = await fetch(entry.digest));
  }
  throw new ImageManifestInvalidError(
    `manifest of ${name}`,
    `indexes are nested deeper than ${INDEX_DEPTH_MAX}`,
  );
}
