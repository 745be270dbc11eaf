/**
 * What is where in a store. All of it is under `<home>/cache`.
 *
 * @module
 */
import { join } from "node:path";
import { type Digest, digestFileName, sha256Digest } from "../oci/digest.ts";

/** The places of one store. */
export class StorePaths {
  /** Disks, each `<digest>.erofs` with its `<digest>.json`. */
  readonly images: string;
  /** Manifests, configurations and layers as registries have them, each named by its digest. */
  readonly blobs: string;
  /** Which image a name stands for: one file for each reference and platform. */
  readonly references: string;
  /** Which image a local path was, when it was last looked at. */
  readonly sources: string;
  readonly locks: string;
  /** Unfinished work: a directory for each lock under which it is done. */
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
