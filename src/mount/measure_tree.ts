/**
 * Measures a tree through its provider, so that a guest that changes it at the same time cannot lead out of it.
 *
 * @module
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { joinPath } from "./paths.ts";
import type { FileSystemProvider, ProviderAttributes } from "./provider.ts";

/** Files that are looked at before other work gets its turn: about 5 ms. */
const FILES_PER_TURN = 500;

/** Most files that are counted: a guest may make them as fast as they are counted. */
const FILES_MAX = 5_000_000;

/** A directory by its place: a guest makes hundreds of thousands, and a path of each would take 4 KiB. */
interface Directory {
  readonly above: Directory | undefined;
  readonly name: string;
}

function pathOf(directory: Directory): string {
  const names: string[] = [];
  for (let at: Directory | undefined = directory; at !== undefined; at = at.above) names.push(at.name);
  return names.reverse().join("/") || "/";
}

/** Bytes that a tree takes, up to {@linkcode FILES_MAX} files. A file with several names counts once; what goes while it is counted, or cannot be read, is left out. */
export async function measureTree(provider: FileSystemProvider): Promise<number> {
  /** Files with several names that were counted. */
  const linked = new Set<string>();
  const directories: Directory[] = [{ above: undefined, name: "" }];
  let bytes = 0;
  let looked = 0;
  for (let above = directories.pop(); above !== undefined; above = directories.pop()) {
    const path = pathOf(above);
    const entries = await orNothing(() => provider.list(path));
    for (const { name, type } of entries ?? []) {
      if (++looked > FILES_MAX) return bytes;
      if (looked % FILES_PER_TURN === 0) await nextTurn();
      const below = joinPath(path, name);
      const attributes = await orNothing(() => provider.attributes(below));
      if (attributes === undefined || isCounted(linked, attributes)) continue;
      bytes += attributes.allocated ?? attributes.size;
      if (type === "directory") directories.push({ above, name });
    }
  }
  return bytes;
}

function isCounted(
  linked: Set<string>,
  { type, links = 1, device = 0n, inode }: ProviderAttributes,
): boolean {
  if (type === "directory" || links < 2) return false;
  const key = `${device}:${inode}`;
  if (linked.has(key)) return true;
  linked.add(key);
  return false;
}

async function orNothing<T>(look: () => T | Promise<T>): Promise<T | undefined> {
  try {
    return await look();
  } catch {
    return undefined; // it has gone, or may not be read: see above
  }
}
