/** Paths within a store, all of them under `<home>/cache`. @module */
import { join } from "node:path";
import { type Digest, digestFileName, sha256Digest } from "../oci/digest.ts";

/** Paths of one store. */
export class StorePaths {
  /** Disks: each is `<digest>.erofs` with its record `<digest>.json`. */
  readonly images: string;
  /** Manifests, configurations and layers as registries have them, named by digest. */
  readonly blobs: string;
  /** What names stand for: a file per reference and platform. */
  readonly references: string;
  /** What local paths contained when they were last converted. */
  readonly sources: string;
  readonly locks: string;
  /** Unfinished work: a directory per lock. */
  readonly work: string;

  constructor(home: string) {
    const cache = join(home, "cache");
    this.images = join(cache, "images");
    this.blobs = join(cache, "blobs");
    this.references = join(cache, "references");
    this.sources = join(cache, "sources");
    this.locks = join(cache, "locks");
    this.work = join(cache, "work");
  }

  erofs(digest: Digest): string {
    return join(this.images, `${digestFileName(digest)}.erofs`);
  }

  imageRecord(digest: Digest): string {
    return join(this.images, `${digestFileName(digest)}.json`);
  }

  blob(digest: Digest): string {
    return join(this.blobs, digestFileName(digest));
  }

  reference(reference: string, platform: string): string {
    return join(this.references, `${hexOf(`${reference}\n${platform}`)}.json`);
  }

  source(key: string): string {
    return join(this.sources, `${hexOf(key)}.json`);
  }
}

function hexOf(text: string): string {
  return sha256Digest(text).slice("sha256:".length);
}
