/**
 * How far a pull is, from its events: one label and one pair of numbers, whatever is shown of it.
 *
 * @module
 */
import type { PullProgress } from "../../mod.ts";

/** Where something that takes time is. */
export interface Stage {
  readonly label: string;
  /** How much of how much; `undefined` where the total is unknown. */
  readonly progress?: { readonly done: number; readonly total: number };
  /** The part of it that means something to people. */
  readonly bytes?: { readonly done: number; readonly total: number };
}

/** Each byte of an image is downloaded and unpacked: the progress counts both, and so never goes back. */
export class PullMeter {
  readonly #downloaded = new Map<number, number>();
  readonly #unpacked = new Map<number, number>();
  #totalBytes = 0;

  /** Takes an event; gives where the pull is now. */
  update(event: PullProgress): Stage {
    switch (event.kind) {
      case "resolving":
        return { label: "Resolving" };
      case "resolved":
        this.#totalBytes = event.totalDownloadBytes;
        break;
      case "layerDownloadProgress":
      case "layerDownloadComplete":
        this.#downloaded.set(event.layerIndex, event.downloadedBytes);
        break;
      case "layerMaterializeProgress":
        this.#unpacked.set(event.layerIndex, event.bytesRead);
        break;
      case "layerMaterializeStarted":
        break;
      case "layerMaterializeComplete":
        this.#unpacked.set(event.layerIndex, this.#downloaded.get(event.layerIndex) ?? 0);
        break;
      case "stitchWritingFsmeta":
      case "stitchComplete":
      case "complete":
        return { label: "Writing the disk", progress: { done: 1, total: 1 } };
    }
    return this.#transfer();
  }

  #transfer(): Stage {
    const total = this.#totalBytes;
    const downloaded = sum(this.#downloaded);
    const unpacked = sum(this.#unpacked);
    const isUnpacking = downloaded >= total;
    return {
      label: isUnpacking ? "Unpacking" : "Downloading",
      progress: { done: downloaded + unpacked, total: 2 * total },
      bytes: { done: isUnpacking ? unpacked : downloaded, total },
    };
  }
}

function sum(counts: ReadonlyMap<number, number>): number {
  let total = 0;
  for (const count of counts.values()) total += count;
  return total;
}
