/**
 * A file system that cannot be changed.
 *
 * @module
 */
import { FileSystemError } from "../errno.ts";
import { then } from "../maybe_promise.ts";
import type {
  FileSystemProvider,
  MaybePromise,
  ProviderAttributes,
  ProviderChange,
  ProviderEntry,
  ProviderFile,
  ProviderOpenOptions,
  ProviderStatistics,
} from "../provider.ts";

/**
 * Shows another file system, and refuses every change with EROFS. The other one can still be changed by your program: what it
 * changes is seen.
 *
 * @example
 * ```ts no-vm
 * import { MemoryFileSystem, ReadonlyFileSystem } from "microsandbox";
 *
 * const files = new ReadonlyFileSystem(new MemoryFileSystem({ "a.txt": "hello" }));
 * console.log((await files.attributes("/a.txt")).size); // 5
 * ```
 */
export class ReadonlyFileSystem implements FileSystemProvider {
  readonly #provider: FileSystemProvider;
  /** @internal */
  readonly watch?: (changed: (change: ProviderChange) => void) => () => void;
  /** @internal */
  readonly isWatched?: (directory: string) => boolean;

  /** Shows `provider`. */
  constructor(provider: FileSystemProvider) {
    this.#provider = provider;
    const watch = provider.watch?.bind(provider);
    if (watch !== undefined) this.watch = watch;
    const isWatched = provider.isWatched?.bind(provider);
    if (isWatched !== undefined) this.isWatched = isWatched;
  }

  /** @internal */
  attributes(path: string): MaybePromise<ProviderAttributes> {
    return this.#provider.attributes(path);
  }

  /** @internal */
  list(path: string): MaybePromise<readonly ProviderEntry[]> {
    return this.#provider.list(path);
  }

  /** @internal */
  open(path: string, options: ProviderOpenOptions): MaybePromise<ProviderFile> {
    if (options.write || options.truncate || options.create) throw new FileSystemError("EROFS");
    return then(this.#provider.open(path, options), readonlyFile);
  }

  /** @internal */
  readLink(path: string): MaybePromise<string> {
    if (this.#provider.readLink === undefined) throw new FileSystemError("EINVAL");
    return this.#provider.readLink(path);
  }

  /** @internal */
  statistics(): MaybePromise<ProviderStatistics> {
    return this.#provider.statistics?.() ?? NOTHING_FREE;
  }

  /** @internal */
  getExtended(path: string, name: string): MaybePromise<Uint8Array> {
    if (this.#provider.getExtended === undefined) throw new FileSystemError("ENODATA");
    return this.#provider.getExtended(path, name);
  }

  /** @internal */
  listExtended(path: string): MaybePromise<readonly string[]> {
    return this.#provider.listExtended?.(path) ?? [];
  }

  /** @internal */
  close(): MaybePromise<void> {
    return this.#provider.close?.();
  }
}

const NOTHING_FREE: ProviderStatistics = {
  blockBytes: 4096,
  blocks: 0,
  freeBlocks: 0,
  availableBlocks: 0,
  files: 0,
  freeFiles: 0,
};

/** Reads alone are let through. */
function readonlyFile(file: ProviderFile): ProviderFile {
  return {
    read: (offset, length) => file.read(offset, length),
    attributes: () => file.attributes(),
    ...(file.seek !== undefined && { seek: file.seek.bind(file) }),
    close: () => file.close(),
  };
}
