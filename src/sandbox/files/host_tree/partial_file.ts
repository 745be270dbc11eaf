/**
 * A file of the host that is being written, under a name of its own until it is complete.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import { closeSync, fchmodSync, fstatSync, ftruncateSync, write, writeSync } from "node:fs";
import { errnoOf } from "../../../base/errors.ts";
import type { EntryName } from "../../../platform/path_at.ts";
import { type HostDirectory, setModified } from "./host_directory.ts";

const NAME_RANDOM_BYTES = 8;

/** A name that nothing in a directory has: what bears it is not complete. */
export function partialName(): string {
  return `.msb-${randomBytes(NAME_RANDOM_BYTES).toString("hex")}.part`;
}

/** Which file something is, whatever its name. */
export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

export class PartialFile implements Disposable {
  readonly #directory: HostDirectory;
  readonly #name = partialName();
  readonly #descriptor: number;
  #sizeBytes = 0;
  #endsInHole = false;
  #isOpen = true;

  /** Creates it in the directory that it is to be in: only a rename there shows it complete or not at all. */
  constructor(directory: HostDirectory) {
    this.#directory = directory;
    this.#descriptor = directory.createFile(this.#name);
  }

  /** Its size so far, holes included. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /**
   * Writes more content. The first bytes, which are all that most files have, are written at once: a thread would take
   * longer. The rest of a large file goes through a thread, so that a slow disk does not stop this process.
   */
  async write(bytes: Uint8Array): Promise<void> {
    const isFirst = this.#sizeBytes === 0;
    for (let written = 0; written < bytes.length; ) {
      const rest = bytes.subarray(written);
      const count = isFirst
        ? writeSync(this.#descriptor, rest, 0, rest.length, this.#sizeBytes)
        : await writeInThread(this.#descriptor, rest, this.#sizeBytes);
      written += count;
      this.#sizeBytes += count;
    }
    this.#endsInHole = false;
  }

  /** Leaves a hole. */
  skip(sizeBytes: number): void {
    this.#sizeBytes += sizeBytes;
    this.#endsInHole = true;
  }

  /** Gives the file its name, in place of a file or link that has it. */
  commit(name: EntryName, mode: number, modifiedNs: bigint): FileIdentity {
    if (this.#endsInHole) ftruncateSync(this.#descriptor, this.#sizeBytes);
    fchmodSync(this.#descriptor, mode);
    setModified(this.#descriptor, modifiedNs);
    const { dev, ino } = fstatSync(this.#descriptor, { bigint: true });
    replaceWith(this.#directory, this.#name, name);
    this.#close();
    return { device: dev, inode: ino };
  }

  /** Removes the file, if it is not complete. */
  [Symbol.dispose](): void {
    if (!this.#isOpen) return;
    this.#close();
    removeIfThere(this.#directory, this.#name);
  }

  #close(): void {
    this.#isOpen = false;
    closeSync(this.#descriptor);
  }
}

/** Gives `partial` its name; if that fails, it is removed. */
export function replaceWith(directory: HostDirectory, partial: EntryName, name: EntryName): void {
  try {
    directory.rename(partial, name);
  } catch (error) {
    removeIfThere(directory, partial);
    throw error;
  }
}

export function removeIfThere(directory: HostDirectory, name: EntryName): void {
  try {
    directory.remove(name);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

function writeInThread(descriptor: number, bytes: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(descriptor, bytes, 0, bytes.length, offset, (error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}
