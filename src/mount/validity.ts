/**
 * How long a guest's kernel may believe what it is told of a file. Where all changes by others are told, that is long: a program
 * that looks at the same files again and again does not have to ask. Else it is short, and a change is seen after that.
 *
 * @module
 */
import type { Validity } from "./fuse/reply.ts";
import type { MountNode } from "./node_table.ts";
import { parentPath } from "./paths.ts";
import type { FileSystemProvider, ProviderAttributes } from "./provider.ts";

/** Validity where changes are told: a bound for what no watch tells, such as writing by `mmap` while the file stays mapped. */
export const WATCHED_VALIDITY_MS = 60_000;
/** Most names that the kernel may long believe to be absent: only a notice by name can correct that. */
const ABSENT_MAX = 16_384;

/** How long a file with these attributes may be believed; without attributes, how long its absence may be. */
export type ValidityOf = (attributes?: ProviderAttributes) => Validity;

/** See the module. */
export class ValidityRules {
  readonly #provider: FileSystemProvider;
  readonly #isTelling: () => boolean;
  readonly #watched: Validity;
  readonly #nameWatched: Validity;
  readonly #otherwise: ValidityOf;

  /** @param isTelling Whether the guest takes what it is told of changes. */
  constructor(provider: FileSystemProvider, validityMs: number, isTelling: () => boolean) {
    this.#provider = provider;
    this.#isTelling = isTelling;
    const longMs = Math.max(WATCHED_VALIDITY_MS, validityMs);
    this.#watched = { entryMs: longMs, attributesMs: longMs };
    this.#nameWatched = { entryMs: longMs, attributesMs: validityMs };
    const short = { entryMs: validityMs, attributesMs: validityMs };
    this.#otherwise = () => short;
  }

  /** Whether all changes in a directory are told. */
  isToldOf(directory: string): boolean {
    return this.#provider.isWatched?.(directory) === true && this.#isTelling();
  }

  /** Call this before the provider is asked for the file at `path`: changes after that are told. */
  before(path: string): ValidityOf {
    if (!this.isToldOf(parentPath(path))) return this.#otherwise;
    // The root's own mode and owner are told by the directory that it lies in, which is not watched.
    const isDirectoryWatched = path !== "/" && this.isToldOf(path);
    return (attributes) => {
      if (attributes === undefined) return this.#watched;
      // A file with another name may be changed by that, in a directory that is not watched.
      const isTold = attributes.type === "directory" ? isDirectoryWatched : (attributes.links ?? 1) <= 1;
      return isTold ? this.#watched : this.#nameWatched;
    };
  }
}

/** Names that the kernel believes not to be there. */
export class AbsentNames {
  readonly #names = new Map<
    string,
    { readonly parent: MountNode; readonly name: string; readonly until: number }
  >();

  /** Notes a name for so long; false if there is no room. */
  add(parent: MountNode, name: string, validityMs: number): boolean {
    const now = performance.now();
    const key = `${parent.id}/${name}`;
    this.#names.delete(key); // its new place is at the end
    if (this.#names.size >= ABSENT_MAX) {
      const [oldest] = this.#names;
      if (oldest === undefined || oldest[1].until > now) return false;
      this.#names.delete(oldest[0]);
    }
    this.#names.set(key, { parent, name, until: now + validityMs });
    return true;
  }

  /** All of them, including those that are added while they are read. */
  all(): IterableIterator<{ readonly parent: MountNode; readonly name: string }> {
    return this.#names.values();
  }
}
