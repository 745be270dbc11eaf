/**
 * An open file of a `DirectoryProvider`, and what it shares with it.
 *
 * @module
 */
import type { FileStatus, Files } from "../../ffi/files.ts";
import { errnoNameOf, FileSystemError } from "../errno.ts";
import { TYPE_BITS } from "../fuse/constants.ts";
import type {
  AttributeChanges,
  FileType,
  LockConflict,
  ProviderAttributes,
  ProviderFile,
  ProviderLock,
} from "../provider.ts";
import type { HostLocks } from "./host_locks.ts";
import type { OpenFiles } from "./open_files.ts";

const S_IFMT = 0o170000;
/** No set-id bits: what the guest leaves behind lies on this machine. */
export const PERMISSION_BITS = 0o1777;
export const SET_ID_BITS = 0o6000;

export const TYPES: ReadonlyMap<number, FileType> = new Map(
  Object.entries(TYPE_BITS).map(([type, bits]) => [bits, type as FileType]),
);

/** How a file came to be open. */
export interface FileOrigin {
  /** What it was opened by. */
  readonly path: string;
  /** What it was counted in. */
  readonly openFiles?: OpenFiles | undefined;
  /** What its locks are taken by. */
  readonly locks?: HostLocks | undefined;
  /** Whether it was opened for writing. @default {false} */
  readonly isWritable?: boolean | undefined;
  /** Calls a change that is the guest's own. */
  readonly own?: (<T>(change: () => T) => T) | undefined;
  /** Which bits of its mode are shown. @default its permissions */
  readonly shownBits?: number | undefined;
}

/** An open file of a directory. */
export class DirectoryFile implements ProviderFile {
  readonly #files: Files;
  readonly #fd: number;
  readonly #openFiles: OpenFiles | undefined;
  readonly #own: <T>(change: () => T) => T;
  readonly #shownBits: number;
  readonly #closed: () => void;
  readonly lock?: (lock: ProviderLock) => void;
  readonly testLock?: (lock: ProviderLock) => LockConflict | undefined;
  /** Whether it has set-id bits, until it is changed. */
  #isSetId: boolean;
  #isClosed = false;

  /** @throws {FileSystemError} EACCES if it is not a regular file. */
  constructor(
    files: Files,
    fd: number,
    {
      openFiles,
      path,
      locks,
      isWritable = false,
      own = (change) => change(),
      shownBits = PERMISSION_BITS,
    }: FileOrigin,
  ) {
    this.#own = own;
    this.#shownBits = shownBits;
    this.#files = files;
    this.#fd = fd;
    this.#openFiles = openFiles;
    const status = statusOf(files, fd);
    if (typeOf(status) !== "file") throw new FileSystemError("EACCES");
    this.#isSetId = (status.mode & SET_ID_BITS) !== 0;
    this.#closed = locks?.opened(fd, status, path) ?? (() => {});
    if (locks === undefined) return;
    const checkLock = ({ kind, type }: ProviderLock) => {
      // A request that waits for a lock may outlive its file, and another file may have the number then.
      if (this.#isClosed) throw new FileSystemError("EBADF");
      // As in fcntl(2): a program that may only read a file cannot exclude its readers.
      if (kind === "record" && type === "exclusive" && !isWritable) throw new FileSystemError("EBADF");
    };
    this.lock = (lock) => {
      checkLock(lock);
      locks.set(fd, status, lock);
    };
    this.testLock = (lock) => {
      checkLock({ ...lock, type: "none" }); // what is in the way may always be asked
      return locks.test(fd, status, lock);
    };
  }

  read(offset: number, length: number): Uint8Array {
    const room = new Uint8Array(length);
    let size = 0;
    while (size < length) {
      const count = check(this.#files.read(this.#fd, room.subarray(size), offset + size));
      if (count === 0) break;
      size += count;
    }
    return room.subarray(0, size);
  }

  write(offset: number, data: Uint8Array): void {
    const bytes = data as Uint8Array<ArrayBuffer>; // a request's own memory
    this.#own(() => {
      this.dropSetId();
      for (let written = 0; written < bytes.length; )
        written += check(this.#files.write(this.#fd, bytes.subarray(written), offset + written));
    });
  }

  attributes(): ProviderAttributes {
    return attributesOf(statusOf(this.#files, this.#fd), this.#shownBits);
  }

  setAttributes({ size, ...others }: AttributeChanges): void {
    this.#own(() => {
      if (size !== undefined) {
        this.dropSetId();
        check(this.#files.truncate(this.#fd, size));
      }
      changeAttributes(this.#files, this.#fd, "file", others);
    });
  }

  sync(dataOnly: boolean): void {
    check(this.#files.sync(this.#fd, dataOnly));
  }

  allocate(mode: number, offset: number, length: number): void {
    this.#own(() => {
      this.dropSetId();
      check(this.#files.allocate(this.#fd, mode, offset, length));
    });
  }

  seek(offset: number, what: "data" | "hole"): number {
    return check(this.#files.seek(this.#fd, offset, what));
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closed();
    this.#own(() => this.#files.close(this.#fd));
    this.#openFiles?.giveBack();
  }

  /** What a guest wrote must not run as the file's owner. To be called before its content changes. */
  dropSetId(): void {
    if (!this.#isSetId) return;
    const { mode } = statusOf(this.#files, this.#fd);
    const result = this.#files.changeMode(this.#fd, mode & PERMISSION_BITS);
    // EPERM: it is somebody else's. Then the kernel drops them at the write.
    if (result < 0 && errnoNameOf(-result) !== "EPERM") throw failure(result);
    this.#isSetId = false;
  }
}

export function changeAttributes(files: Files, fd: number, type: FileType, changes: AttributeChanges): void {
  const { mode, uid, gid, accessedNs, modifiedNs } = changes;
  if (mode !== undefined) {
    if (type === "symlink") throw new FileSystemError("EOPNOTSUPP");
    check(files.changeMode(fd, mode & PERMISSION_BITS));
  }
  if (uid !== undefined || gid !== undefined) check(files.changeOwner(fd, uid, gid));
  if (accessedNs !== undefined || modifiedNs !== undefined)
    check(files.changeTimes(fd, accessedNs, modifiedNs));
}

export function statusOf(files: Files, fd: number): FileStatus {
  const status = files.status(fd);
  if (typeof status === "number") throw failure(status);
  return status;
}

/** @param modeBits Which bits of the mode are shown. */
export function attributesOf(status: FileStatus, modeBits: number = PERMISSION_BITS): ProviderAttributes {
  const { size, allocated, links, uid, gid, inode, device, special, accessedNs, modifiedNs, changedNs } =
    status;
  return {
    type: typeOf(status),
    mode: status.mode & modeBits,
    ...{ size, allocated, links, uid, gid, inode, device, special },
    generation: status.createdNs,
    ...{ accessedNs, modifiedNs, changedNs },
  };
}

export function typeOf({ mode }: FileStatus): FileType {
  return TYPES.get(mode & S_IFMT) ?? "file";
}

/** @throws {FileSystemError} if a call failed. */
export function check(result: number): number {
  if (result < 0) throw failure(result);
  return result;
}

export function failure(result: number): FileSystemError {
  return new FileSystemError(errnoNameOf(-result));
}
