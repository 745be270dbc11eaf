/**
 * A directory of the host that is held open. What is done in it is done to that directory, even if its name leads
 * elsewhere later, and no symbolic link in it is ever followed.
 *
 * Calls are synchronous: they take microseconds, less than handing them to a thread. Who makes many of them lets others
 * have their turn in between ({@linkcode Turns}).
 *
 * @module
 */
import { Buffer } from "node:buffer";
import {
  type BigIntStats,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  futimesSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
} from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { errnoOf } from "../../../base/errors.ts";
import { checkPathAt, directoryPath, type EntryName, pathAt } from "../../../platform/path_at.ts";

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = constants;
/** A new file or directory is its owner's alone until it is complete. */
const NEW_FILE_MODE = 0o600;
const NEW_DIRECTORY_MODE = 0o700;
const NS_PER_SECOND = 1_000_000_000n;
/** Half of what two neighbouring doubles differ by, from 1970 + 2^30 s on. */
const HALF_STEP_NS = 120;

export class HostDirectory implements Disposable {
  /** What it is called in errors. */
  readonly path: string;
  readonly #descriptor: number;

  private constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  /** Opens the directory that the user has named; links on the way are the user's own. */
  static open(path: string): HostDirectory {
    const directory = new HostDirectory(path, openSync(path, O_RDONLY | O_DIRECTORY));
    try {
      checkPathAt(directory.#descriptor);
      return directory;
    } catch (error) {
      directory[Symbol.dispose]();
      throw error;
    }
  }

  /** Opens a directory in this one. A link to a directory is none (`ENOTDIR`), unless it is to be followed. */
  openDirectory(name: EntryName, { follow = false } = {}): HostDirectory {
    const flags = O_RDONLY | O_DIRECTORY | (follow ? 0 : O_NOFOLLOW);
    return new HostDirectory(
      `${this.path}/${name}`,
      this.#at(name, (path) => openSync(path, flags)),
    );
  }

  /** Makes a directory. Returns false if something of that name is there. */
  makeDirectory(name: EntryName): boolean {
    try {
      this.#at(name, (path) => mkdirSync(path, { mode: NEW_DIRECTORY_MODE }));
      return true;
    } catch (error) {
      if (errnoOf(error) === "EEXIST") return false;
      throw error;
    }
  }

  /** Opens a file for reading, without waiting for the other end of a FIFO. */
  openFile(name: EntryName, { follow = false } = {}): number {
    const flags = O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
    return this.#at(name, (path) => openSync(path, flags));
  }

  /** Makes a file, which must not be there, and opens it for writing. */
  createFile(name: EntryName): number {
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    return this.#at(name, (path) => openSync(path, flags, NEW_FILE_MODE));
  }

  makeSymlink(name: EntryName, target: EntryName): void {
    this.#at(name, (path) => symlinkSync(target, path));
  }

  /** Makes `name` here a hard link to `existing` in `directory`. */
  makeLink(name: EntryName, directory: HostDirectory, existing: EntryName): void {
    directory.#at(existing, (from) => this.#at(name, (to) => linkSync(from, to)));
  }

  readSymlink(name: EntryName): Uint8Array {
    return this.#at(name, (path) => readlinkSync(path, { encoding: "buffer" }));
  }

  rename(from: EntryName, to: EntryName): void {
    this.#at(from, (source) => this.#at(to, (target) => renameSync(source, target)));
  }

  remove(name: EntryName): void {
    this.#at(name, (path) => unlinkSync(path));
  }

  /** What `name` itself is. */
  status(name: EntryName): BigIntStats {
    return this.#at(name, (path) => lstatSync(path, { bigint: true }));
  }

  /** What `name` leads to. */
  followedStatus(name: EntryName): BigIntStats {
    return this.#at(name, (path) => statSync(path, { bigint: true }));
  }

  /** What this directory is. */
  get ownStatus(): BigIntStats {
    return fstatSync(this.#descriptor, { bigint: true });
  }

  /** What is in it, sorted by name, so that two copies go the same way. */
  entries(): DirectoryEntry[] {
    try {
      return listEntries(directoryPath(this.#descriptor)).sort((left, right) =>
        left.bytes.compare(right.bytes),
      );
    } catch (error) {
      throw this.#named(error);
    }
  }

  setMode(mode: number): void {
    fchmodSync(this.#descriptor, mode);
  }

  setModified(modifiedNs: bigint): void {
    setModified(this.#descriptor, modifiedNs);
  }

  setSymlinkModified(name: EntryName, modifiedNs: bigint): void {
    this.#at(name, (path) => lutimesSync(path, now(), toSeconds(modifiedNs)));
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }

  #at<T>(name: EntryName, operation: (path: string | Buffer) => T): T {
    try {
      return operation(pathAt(this.#descriptor, name));
    } catch (error) {
      throw this.#named(error);
    }
  }

  /** The system's error, with the directory's name in place of the way that was taken to it. */
  #named(error: unknown): unknown {
    if (error instanceof Error) {
      const way = directoryPath(this.#descriptor);
      error.message = error.message
        .replaceAll(`${way}/`, `${this.path}/`)
        .replaceAll(`${way}'`, `${this.path}'`);
    }
    return error;
  }
}

/** An entry of a directory. */
export interface DirectoryEntry {
  /** Its name. */
  readonly bytes: Buffer;
  /** Whether the directory says that it is a regular file; if not, it may be one all the same. */
  readonly isFile: boolean;
}

/** Kinds come as text only, in which a name that is not UTF-8 is not what it is: those are listed again, as bytes. */
function listEntries(path: string): DirectoryEntry[] {
  const entries = readdirSync(path, { withFileTypes: true });
  if (!entries.some(({ name }) => name.includes("\u{fffd}")))
    return entries.map((entry) => ({ bytes: Buffer.from(entry.name), isFile: entry.isFile() }));
  return readdirSync(path, { encoding: "buffer" }).map((bytes) => ({ bytes, isFile: false }));
}

/** Sets when an open file or directory was last changed. */
export function setModified(descriptor: number, modifiedNs: bigint): void {
  futimesSync(descriptor, now(), toSeconds(modifiedNs));
}

/**
 * A double of seconds is exact to a quarter of a microsecond only: the time is rounded up, as the system cuts off what its
 * own clock does not show. A time before 1970 becomes 1970, as `node:fs` takes a negative one for now.
 */
function toSeconds(ns: bigint): number {
  if (ns < 0n) return 0;
  const fraction = Number(ns % NS_PER_SECOND);
  return (
    Number(ns / NS_PER_SECOND) + (fraction === 0 ? 0 : (fraction + HALF_STEP_NS) / Number(NS_PER_SECOND))
  );
}

function now(): number {
  return Date.now() / 1000;
}

/** How long synchronous work may keep others from their turn, in milliseconds. */
const TURN_MS = 10;

/** Gives timers, signals and other calls of this process their turn amid synchronous work. */
export class Turns {
  #startedMs = performance.now();

  /** Waits only if it has been long since the last turn. */
  async give(): Promise<void> {
    if (performance.now() - this.#startedMs < TURN_MS) return;
    await nextTurn();
    this.#startedMs = performance.now();
  }
}
