/**
 * What a guest's kernel has open, by the numbers that it knows it by.
 *
 * @module
 */
import { FileSystemError } from "./errno.ts";
import type { ProviderEntry, ProviderFile } from "./provider.ts";

/** About what an object with a name, a type and a number of 64 bits takes beside the characters of the name. */
const ENTRY_BYTES = 160;

/** An open file. */
export interface OpenFile {
  readonly kind: "file";
  readonly file: ProviderFile;
  /** The number of its node. */
  readonly node: bigint;
  readonly isAppending: boolean;
}

/** An open directory: what was in it when it was read from its beginning. */
export interface OpenDirectory {
  readonly kind: "directory";
  entries: readonly ProviderEntry[] | undefined;
}

export type OpenHandle = OpenFile | OpenDirectory;

/** Open files and directories, within bounds. */
export class HandleTable {
  readonly #handlesMax: number;
  readonly #entryBytesMax: number;
  readonly #handles = new Map<bigint, OpenHandle>();
  #nextId = 1n;
  #entryBytes = 0;
  #isClosed = false;

  constructor(handlesMax: number, entryBytesMax: number) {
    this.#handlesMax = handlesMax;
    this.#entryBytesMax = entryBytesMax;
  }

  /** What is open. */
  get size(): number {
    return this.#handles.size;
  }

  /** @throws {FileSystemError} ENFILE; to be asked before anything is opened. */
  reserve(): void {
    if (this.#handles.size >= this.#handlesMax) throw new FileSystemError("ENFILE");
  }

  /** @throws {FileSystemError} EIO once all was taken out: what a slow provider opens after that has no use. */
  add(handle: OpenHandle): bigint {
    if (this.#isClosed) throw new FileSystemError("EIO");
    const id = this.#nextId++;
    this.#handles.set(id, handle);
    return id;
  }

  /** @throws {FileSystemError} EBADF */
  file(id: bigint): OpenFile {
    const handle = this.#handles.get(id);
    if (handle?.kind !== "file") throw new FileSystemError("EBADF");
    return handle;
  }

  /** An open file of a node. It looks at all that is open: only files without a name are to be found so. */
  fileOf(node: bigint): ProviderFile | undefined {
    for (const handle of this.#handles.values())
      if (handle.kind === "file" && handle.node === node) return handle.file;
    return undefined;
  }

  /** @throws {FileSystemError} EBADF */
  directory(id: bigint): OpenDirectory {
    const handle = this.#handles.get(id);
    if (handle?.kind !== "directory") throw new FileSystemError("EBADF");
    return handle;
  }

  /** Keeps what a directory holds. @throws {FileSystemError} ENOMEM if all open directories hold too much. */
  setEntries(directory: OpenDirectory, entries: readonly ProviderEntry[]): void {
    const total = this.#entryBytes - bytesOf(directory) + bytesOf({ entries });
    if (total > this.#entryBytesMax) throw new FileSystemError("ENOMEM");
    this.#entryBytes = total;
    directory.entries = entries;
  }

  /** Takes a handle out; the caller closes its file. */
  remove(id: bigint): OpenHandle | undefined {
    const handle = this.#handles.get(id);
    this.#handles.delete(id);
    if (handle?.kind === "directory") this.#entryBytes -= bytesOf(handle);
    return handle;
  }

  /** Takes all out, and no more in. */
  clear(): readonly OpenHandle[] {
    this.#isClosed = true;
    const handles = [...this.#handles.values()];
    this.#handles.clear();
    this.#entryBytes = 0;
    return handles;
  }
}

/** About what the entries of a directory take here. */
function bytesOf({ entries = [] }: Pick<OpenDirectory, "entries">): number {
  return entries.reduce((sum, { name }) => sum + ENTRY_BYTES + 2 * name.length, 0);
}
