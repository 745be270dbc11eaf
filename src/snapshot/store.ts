/**
 * The snapshots of a home: a directory each, which appears whole or not at all.
 *
 * One that makes room for another stands aside under a name that says for whom, until the other is there. A process that
 * is killed in between leaves it so, and whoever looks next puts it back.
 *
 * @module
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { errnoOf, IoError } from "../base/errors.ts";
import { isSameProcess } from "../platform/process_identity.ts";
import { stagingName, stagingOwner, stagingPath, sweepStaging } from "../platform/staging.ts";
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

/** One snapshot on disk. */
export interface StoredSnapshot {
  readonly descriptor: SnapshotDescriptor;
  /** What the descriptor's bytes are known by. */
  readonly digest: string;
  readonly directory: string;
  readonly upperPath: string;
}

/** What rename(2) says where a directory that is not empty has the name. */
const TAKEN: readonly (string | undefined)[] = ["ENOTEMPTY", "EEXIST"];

/** In the name of one that stands aside: behind its own name, and before that of the process. No snapshot's name has it. */
const ASIDE = "@";

/** Other processes may take a name as often while we make room for it. */
const REPLACE_ATTEMPTS_MAX = 5;

/** Others may replace a snapshot as often while we read it. What is damaged stays so. */
const READ_ATTEMPTS_MAX = 20;

export class SnapshotStore {
  readonly home: string;
  readonly #directory: string;

  constructor(home: string) {
    this.home = home;
    this.#directory = join(home, "snapshots");
  }

  /** Where the snapshot of that name is, or would be. @throws {InvalidConfigError} */
  directoryOf(name: string): string {
    checkNameAndLabels({ name });
    return join(this.#directory, name);
  }

  has(name: string): boolean {
    return existsSync(this.directoryOf(name));
  }

  /** An empty directory to make a snapshot in, for {@linkcode publish}. Whoever asks for it removes it. */
  stage(): string {
    this.#putBack();
    sweepStaging(this.home);
    const staged = stagingPath(this.home);
    mkdirSync(staged, { mode: 0o700 });
    return staged;
  }

  /**
   * Makes a snapshot of a staged directory that has its disk already. With `replace` it takes the place of one of that
   * name, which is removed.
   *
   * @throws {SnapshotAlreadyExistsError} if the name was taken, be it a moment ago.
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
   * @throws {SnapshotIntegrityError} if its descriptor, or the size of its disk, is not what it was. The disk's content
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
    throw new SnapshotIntegrityError(name, "a file of it is missing");
  }

  /** `undefined` if another takes its place meanwhile. */
  #read(name: string, directory: string): StoredSnapshot | undefined {
    const path = join(directory, DESCRIPTOR_NAME);
    const upperPath = join(directory, UPPER_NAME);
    try {
      if (statSync(path).size > DESCRIPTOR_BYTES_MAX)
        throw new SnapshotIntegrityError(name, `${DESCRIPTOR_NAME} is too large`);
      const bytes = readFileSync(path);
      const { descriptor, digest } = decodeDescriptor(name, bytes);
      if (descriptor.name !== name)
        throw new SnapshotIntegrityError(name, `it was made as ${JSON.stringify(descriptor.name)}`);
      const { size } = statSync(upperPath);
      if (!readFileSync(path).equals(bytes)) return undefined; // the disk may be the other's
      if (size !== descriptor.upper.sizeBytes)
        throw new SnapshotIntegrityError(name, `${UPPER_NAME} does not have its size`);
      return { descriptor, digest, directory, upperPath };
    } catch (error) {
      if (errnoOf(error) === "ENOENT") throw error; // for get() to judge
      throw error instanceof SnapshotIntegrityError ? error : new IoError(`read ${path}`, path, error);
    }
  }

  /** All snapshots by name; what is damaged, or was put there by others, is left out. */
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
   * Removes a snapshot in one step, damaged ones too. With `digest` only that very one: a namesake that has taken its place,
   * be it a moment ago, stays.
   *
   * @throws {SnapshotNotFoundError}
   */
  remove(name: string, digest?: string): void {
    const directory = this.directoryOf(name);
    this.#putBack(); // else what stands aside would come back in its place
    const aside = asideOf(directory);
    let isThere: boolean;
    try {
      isThere = renameIfThere(directory, aside);
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
      return false; // damaged by now, or another that is
    }
  }

  /** Nobody sees half of either; for a moment there is none. What cannot be put in place leaves the one before there. */
  #replace(staged: string, directory: string): void {
    for (let attempt = 1; ; attempt++) {
      const before = asideOf(directory);
      const hasBefore = renameIfThere(directory, before);
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

  /** What dead processes had moved aside goes back where it was, unless another is there by now. */
  #putBack(): void {
    for (const entry of this.#entries()) {
      const [name = "", keeper = ""] = entry.split(ASIDE);
      const owner = stagingOwner(keeper);
      if (owner === undefined || isSameProcess(owner)) continue;
      this.#restore(join(this.#directory, entry), join(this.#directory, name));
    }
  }

  /** Moves one that stands aside to its place, unless another is there by now. That others were faster is as good. */
  #restore(aside: string, directory: string): void {
    try {
      renameIfThere(aside, directory);
    } catch (error) {
      if (!TAKEN.includes(errnoOf(error))) throw new IoError(`put ${aside} back`, aside, error);
      this.#discard(aside);
    }
  }

  /** Deletes one that stands aside, so that a kill leaves no half of it. */
  #discard(aside: string): void {
    const trash = stagingPath(this.home);
    renameIfThere(aside, trash);
    rmSync(trash, { recursive: true, force: true });
  }

  /** Digests of the images that snapshots need. */
  imageDigests(): Set<string> {
    return new Set(this.list().map(({ descriptor }) => descriptor.image.digest));
  }

  #entries(): string[] {
    try {
      return readdirSync(this.#directory).sort();
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw new IoError(`list ${this.#directory}`, this.#directory, error);
    }
  }
}

/** Where what is at `directory` stands while this process works on its place. */
function asideOf(directory: string): string {
  return `${directory}${ASIDE}${stagingName()}`;
}

/** Returns whether it was there. */
function renameIfThere(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}

function syncFile(path: string): void {
  const fd = openSync(path, "r+");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
