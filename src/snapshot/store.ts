/**
 * Stores the snapshots of a home, one directory each. A snapshot appears complete or not at all.
 *
 * A snapshot that is being replaced is moved aside, under a name that tells which process did it, until its replacement
 * is in place. If that process is killed in between, the next access moves the old snapshot back.
 *
 * @module
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf, IoError } from "../base/errors.ts";
import { namesIfPresent, renameIfPresent } from "../platform/if_present.ts";
import { isHeld, stagingName, stagingOwner, stagingPath, sweepStaging } from "../platform/staging.ts";
import {
  checkNameAndLabels,
  DESCRIPTOR_BYTES_MAX,
  DESCRIPTOR_NAME,
  decodeDescriptor,
  encodeDescriptor,
  isSnapshotName,
  type SnapshotDescriptor,
  UPPER_NAME,
} from "./descriptor.ts";
import { SnapshotAlreadyExistsError, SnapshotIntegrityError, SnapshotNotFoundError } from "./errors.ts";

/** A snapshot on disk. */
export interface StoredSnapshot {
  readonly descriptor: SnapshotDescriptor;
  /** Digest of the descriptor, which identifies the snapshot. */
  readonly digest: string;
  readonly directory: string;
  readonly upperPath: string;
}

/** What rename(2) reports if the target is a directory that is not empty. */
const TAKEN: readonly (string | undefined)[] = ["ENOTEMPTY", "EEXIST"];

/**
 * Separates a snapshot's name from the process in the name of a directory that was moved aside. No snapshot's name
 * contains it.
 */
const ASIDE = "@";

/** Most attempts to replace a snapshot while other processes keep taking its name. */
const REPLACE_ATTEMPTS_MAX = 5;

/** Most attempts to read a snapshot while other processes keep replacing it. A damaged one stays damaged. */
const READ_ATTEMPTS_MAX = 20;

export class SnapshotStore {
  readonly home: string;
  readonly #directory: string;

  constructor(home: string) {
    this.home = home;
    this.#directory = join(home, "snapshots");
  }

  /** Returns the directory of the snapshot with that name, whether or not it exists. @throws {InvalidConfigError} */
  directoryOf(name: string): string {
    checkNameAndLabels({ name });
    return join(this.#directory, name);
  }

  has(name: string): boolean {
    return existsSync(this.directoryOf(name));
  }

  /** Returns an empty directory in which to prepare a snapshot for {@linkcode publish}. The caller removes it. */
  stage(): string {
    this.#putBack();
    sweepStaging(this.home);
    const staged = stagingPath(this.home);
    mkdirSync(staged, { mode: 0o700 });
    return staged;
  }

  /**
   * Turns a staged directory that contains the disk into a snapshot. With `replace`, it replaces a snapshot of the same
   * name.
   *
   * @throws {SnapshotAlreadyExistsError} The name is taken.
   */
  publish(
    staged: string,
    descriptor: SnapshotDescriptor,
    { replace = false }: { readonly replace?: boolean } = {},
  ): StoredSnapshot {
    const directory = this.directoryOf(descriptor.name);
    const { bytes, digest } = encodeDescriptor(descriptor);
    try {
      writeFileSync(join(staged, DESCRIPTOR_NAME), bytes, { mode: 0o600, flush: true });
      syncFile(join(staged, UPPER_NAME));
      mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
      if (replace) this.#replace(staged, directory);
      else renameSync(staged, directory);
    } catch (error) {
      if (TAKEN.includes(errnoOf(error))) throw new SnapshotAlreadyExistsError(descriptor.name);
      throw new IoError(`store ${directory}`, directory, error);
    }
    return { descriptor, digest, directory, upperPath: join(directory, UPPER_NAME) };
  }

  /**
   * @throws {SnapshotNotFoundError}
   * @throws {SnapshotIntegrityError} The descriptor or the size of the disk is wrong. The disk's content
   *   is not read.
   */
  get(name: string): StoredSnapshot {
    const directory = this.directoryOf(name);
    for (let attempt = 0; attempt < READ_ATTEMPTS_MAX; attempt++) {
      try {
        const stored = this.#read(name, directory);
        if (stored !== undefined) return stored;
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") throw error;
        this.#putBack();
        if (!this.has(name)) throw new SnapshotNotFoundError(name);
      }
    }
    throw new SnapshotIntegrityError(name, "one of its files is missing");
  }

  /** Reads a snapshot, or returns `undefined` if another process replaces it at the same time. */
  #read(name: string, directory: string): StoredSnapshot | undefined {
    const path = join(directory, DESCRIPTOR_NAME);
    const upperPath = join(directory, UPPER_NAME);
    try {
      if (statSync(path).size > DESCRIPTOR_BYTES_MAX)
        throw new SnapshotIntegrityError(name, `${DESCRIPTOR_NAME} is too large`);
      const bytes = readFileSync(path);
      const { descriptor, digest } = decodeDescriptor(name, bytes);
      if (descriptor.name !== name)
        throw new SnapshotIntegrityError(name, `its descriptor names it ${JSON.stringify(descriptor.name)}`);
      const { size } = statSync(upperPath);
      if (!readFileSync(path).equals(bytes)) return undefined; // the disk may belong to the replacement
      if (size !== descriptor.upper.sizeBytes)
        throw new SnapshotIntegrityError(name, `${UPPER_NAME} has the wrong size`);
      return { descriptor, digest, directory, upperPath };
    } catch (error) {
      if (errnoOf(error) === "ENOENT") throw error; // get() handles it
      throw error instanceof SnapshotIntegrityError ? error : new IoError(`read ${path}`, path, error);
    }
  }

  /** Returns all snapshots, sorted by name, without damaged ones and files that do not belong here. */
  list(): StoredSnapshot[] {
    this.#putBack();
    return this.#entries()
      .filter(isSnapshotName)
      .flatMap((name) => {
        try {
          return [this.get(name)];
        } catch (error) {
          if (error instanceof SnapshotIntegrityError || error instanceof SnapshotNotFoundError) return [];
          throw error;
        }
      });
  }

  /**
   * Removes a snapshot in one step, even a damaged one. With `digest`, removes only the snapshot with that digest, not
   * another that has taken its name.
   *
   * @throws {SnapshotNotFoundError}
   */
  remove(name: string, digest?: string): void {
    const directory = this.directoryOf(name);
    this.#putBack(); // otherwise a snapshot that was moved aside would come back in its place
    const aside = asideOf(directory);
    let isThere: boolean;
    try {
      isThere = renameIfPresent(directory, aside);
    } catch (error) {
      throw new IoError(`remove ${directory}`, directory, error);
    }
    if (!isThere) throw new SnapshotNotFoundError(name);
    if (digest === undefined || this.#hasDigest(name, aside, digest)) return this.#discard(aside);
    this.#restore(aside, directory);
    throw new SnapshotNotFoundError(name);
  }

  #hasDigest(name: string, directory: string, digest: string): boolean {
    try {
      return this.#read(name, directory)?.digest === digest;
    } catch {
      return false; // it is damaged
    }
  }

  /**
   * Replaces a snapshot. Readers never see a half-replaced snapshot, though for a moment they may find none. If the new
   * one cannot be moved in, the old one goes back.
   */
  #replace(staged: string, directory: string): void {
    for (let attempt = 1; ; attempt++) {
      const before = asideOf(directory);
      const hasBefore = renameIfPresent(directory, before);
      try {
        renameSync(staged, directory);
      } catch (error) {
        const isOvertaken = TAKEN.includes(errnoOf(error));
        if (hasBefore && !isOvertaken) renameSync(before, directory);
        else this.#discard(before);
        if (!isOvertaken || attempt === REPLACE_ATTEMPTS_MAX) throw error;
        continue;
      }
      this.#discard(before);
      return;
    }
  }

  /** Moves back what dead processes had moved aside, unless its place is taken. */
  #putBack(): void {
    for (const entry of this.#entries()) {
      const [name = "", keeper = ""] = entry.split(ASIDE);
      const owner = stagingOwner(keeper);
      const aside = join(this.#directory, entry);
      if (owner === undefined || isHeld(aside, owner)) continue;
      this.#restore(aside, join(this.#directory, name));
    }
  }

  /** Moves a snapshot back to its place, unless that is taken: then the other one counts. */
  #restore(aside: string, directory: string): void {
    try {
      renameIfPresent(aside, directory);
    } catch (error) {
      if (!TAKEN.includes(errnoOf(error))) throw new IoError(`put ${aside} back`, aside, error);
      this.#discard(aside);
    }
  }

  /** Deletes a snapshot that was moved aside, in such a way that a kill leaves no half of it. */
  #discard(aside: string): void {
    const trash = stagingPath(this.home);
    renameIfPresent(aside, trash);
    rmSync(trash, { recursive: true, force: true });
  }

  /** Returns the digests of the images that snapshots need. */
  imageDigests(): Set<string> {
    return new Set(this.list().map(({ descriptor }) => descriptor.image.digest));
  }

  #entries(): string[] {
    return namesIfPresent(this.#directory).sort();
  }
}

/** Returns the path to which this process moves `directory` aside. */
function asideOf(directory: string): string {
  return `${directory}${ASIDE}${stagingName()}`;
}

function syncFile(path: string): void {
  const fd = openSync(path, "r+");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
