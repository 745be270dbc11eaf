/**
 * Locks of a guest's programs on files of this machine. Each holder has a descriptor of its own for each file, whose locks hold
 * against every other holder: of this guest, of another one, and of programs of this machine.
 *
 * @module
 */
import type { FileLocks, LockRange } from "../../ffi/file_locks.ts";
import type { FileStatus } from "../../ffi/files.ts";
import { FileSystemError } from "../errno.ts";
import type { LockConflict, ProviderLock } from "../provider.ts";
import { check } from "./directory_file.ts";
import type { OpenFiles } from "./open_files.ts";

/** Holders of locks, each with a file of its own. */
const HOLDERS_MAX = 4096;
/**
 * SQLite keeps an index of its write-ahead log in a file of this name, which all users of the database map into their memory.
 * Memory of two guests is not the same, so only one mount may have it open.
 */
const SHARED_INDEX_SUFFIX = "-shm";
/** What SQLite locks of it while it is open: https://www.sqlite.org/walformat.html#wal_locks */
const SHARED_INDEX_RANGE: LockRange = { start: 120n, length: 9n };
/** Shift of the guest programs' own locks on such a file, because the mount itself holds the other range. */
const SHARED_INDEX_SHIFT = 1n << 40n;

interface Claim {
  readonly fd: number;
  users: number;
}

/** See the module. */
export class HostLocks {
  readonly #locks: FileLocks;
  readonly #openFiles: OpenFiles | undefined;
  readonly #holders = new Map<string, number>();
  readonly #claims = new Map<string, Claim>();

  constructor(locks: FileLocks, openFiles: OpenFiles | undefined) {
    this.#locks = locks;
    this.#openFiles = openFiles;
  }

  /** Takes, changes or gives up a lock. @throws {FileSystemError} EAGAIN if another holder has one. */
  set(fd: number, status: FileStatus, lock: ProviderLock): void {
    const key = `${keyOf(status)}:${lock.kind}:${lock.owner}`;
    if (lock.type === "none" && !this.#holders.has(key)) return;
    if (lock.type === "none" && isAll(lock)) return this.#release(key);
    const holder = this.#holders.get(key) ?? this.#hold(key, fd);
    const result =
      lock.kind === "whole"
        ? this.#locks.setWhole(holder, lock.type)
        : this.#locks.setRange(holder, lock.type, this.#rangeOf(status, lock));
    check(result);
  }

  /** The lock of another holder that conflicts with a lock, if there is one. */
  test(fd: number, status: FileStatus, lock: ProviderLock): LockConflict | undefined {
    const key = `${keyOf(status)}:${lock.kind}:${lock.owner}`;
    const holder = this.#holders.get(key) ?? this.#hold(key, fd);
    const range = this.#rangeOf(status, lock);
    const found = this.#locks.testRange(holder, lock.type, range);
    if (typeof found === "number") check(found);
    if (found === undefined || typeof found === "number") return undefined;
    const start = found.start - (range.start - lock.start);
    const end = found.length === 0n ? LOCK_END : start + found.length - 1n;
    return { type: found.isExclusive ? "exclusive" : "shared", start: start < 0n ? 0n : start, end };
  }

  /**
   * A file was opened by that name. @returns a function to call when it is closed.
   *
   * @throws {FileSystemError} EBUSY if only one mount may have it open, and another mount or a program has it.
   */
  opened(fd: number, status: FileStatus, path: string): () => void {
    if (!path.endsWith(SHARED_INDEX_SUFFIX)) return () => {};
    const key = keyOf(status);
    const claim = this.#claims.get(key) ?? this.#claim(fd);
    if (claim === undefined) return () => {}; // it may not be written, so it cannot be of use to SQLite
    claim.users++;
    this.#claims.set(key, claim);
    return () => {
      claim.users--;
      if (claim.users > 0 || this.#claims.get(key) !== claim) return;
      this.#claims.delete(key);
      this.#close(claim.fd);
    };
  }

  close(): void {
    for (const fd of this.#holders.values()) this.#close(fd);
    for (const { fd } of this.#claims.values()) this.#close(fd);
    this.#holders.clear();
    this.#claims.clear();
  }

  #claim(fd: number): Claim | undefined {
    const own = this.#locks.open(fd, true);
    if (own < 0) return undefined;
    if (this.#locks.setRange(own, "exclusive", SHARED_INDEX_RANGE) < 0) {
      this.#locks.close(own);
      throw new FileSystemError("EBUSY");
    }
    this.#openFiles?.add();
    return { fd: own, users: 0 };
  }

  #rangeOf(status: FileStatus, { start, end }: ProviderLock): LockRange {
    const length = end >= LOCK_END ? 0n : end - start + 1n;
    const isClaimed = this.#claims.has(keyOf(status));
    return isClaimed ? { start: start + SHARED_INDEX_SHIFT, length } : { start, length };
  }

  #hold(key: string, fd: number): number {
    if (this.#holders.size >= HOLDERS_MAX) throw new FileSystemError("ENFILE");
    this.#openFiles?.take();
    let own = this.#locks.open(fd, true);
    if (own < 0) own = this.#locks.open(fd, false); // then an exclusive one is EBADF, as the guest's program may not write either
    if (own < 0) this.#openFiles?.giveBack();
    check(own);
    this.#holders.set(key, own);
    return own;
  }

  #release(key: string): void {
    const fd = this.#holders.get(key);
    if (fd === undefined) return;
    this.#holders.delete(key);
    this.#close(fd); // and with it all its locks
  }

  #close(fd: number): void {
    this.#locks.close(fd);
    this.#openFiles?.giveBack();
  }
}

/** The last byte that a lock can have. */
export const LOCK_END = (1n << 63n) - 1n;

function isAll({ start, end }: ProviderLock): boolean {
  return start === 0n && end >= LOCK_END;
}

function keyOf({ device, inode }: FileStatus): string {
  return `${device}:${inode}`;
}
