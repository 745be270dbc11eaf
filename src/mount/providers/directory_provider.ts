/**
 * A directory of this machine as a mount, which a guest cannot leave.
 *
 * Every path is resolved beneath the root by the kernel, through no symbolic link: links are the guest's to follow. Nothing but a
 * regular file is ever opened for its content. Devices are not made, and set-id bits are neither shown nor set, since what the
 * guest leaves behind lies on this machine.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import type { FileLocks } from "../../ffi/file_locks.ts";
import { type FileStatus, type Files, Open } from "../../ffi/files.ts";
import type { Inotify } from "../../ffi/inotify.ts";
import { errnoNameOf, FileSystemError } from "../errno.ts";
import { TYPE_BITS } from "../fuse/constants.ts";
import { decodeName, encodeName } from "../names.ts";
import { baseName, parentPath } from "../paths.ts";
import type {
  AttributeChanges,
  FileSystemProvider,
  FileType,
  ProviderAttributes,
  ProviderChange,
  ProviderEntry,
  ProviderFile,
  ProviderOpenOptions,
  ProviderStatistics,
  RenameOptions,
} from "../provider.ts";
import { ClosedDirectory } from "./closed_directory.ts";
import { readEntries } from "./directory_entries.ts";
import {
  attributesOf,
  changeAttributes,
  check,
  DirectoryFile,
  failure,
  PERMISSION_BITS,
  SET_ID_BITS,
  statusOf,
  typeOf,
} from "./directory_file.ts";
import { DirectoryWatch, openForWatch } from "./directory_watch.ts";
import { HostLocks } from "./host_locks.ts";
import type { OpenFiles } from "./open_files.ts";

/** Entries of one directory that are read: as many as all open directories of a mount may hold. */
const ENTRIES_MAX = 700_000;
const EXTENDED_BYTES_MAX = 64 * 1024;
const TARGET_BYTES_MAX = 4096;
/** The only attributes that mean nothing to this machine. */
const EXTENDED_PREFIX = "user.";
const CONTENT_FLAGS = Open.noTerminal | Open.nonBlocking;

/** What a guest may make it hold. */
export interface DirectoryBounds {
  /** Most entries of a directory that is listed; of a larger one that fails with ENOMEM. @default {700000} */
  readonly entriesMax?: number | undefined;
  /** What counts the open files of all mounts. @default none */
  readonly openFiles?: OpenFiles | undefined;
  /** What it watches the directory by. @default none: then it cannot be watched */
  readonly inotify?: Inotify | undefined;
  /** Whether set-id bits are shown: for a read-only root, whose programs are to work as on this machine. @default {false} */
  readonly showsSetId?: boolean | undefined;
  /** Takes locks of the guest's programs on this machine. @default none: then they hold in the guest alone */
  readonly locks?: FileLocks | undefined;
  /** A directory that the guest may not enter, by its absolute path without links. @default none */
  readonly closed?: string | undefined;
}

type Bounds = DirectoryBounds & { readonly only?: string };

/** See the module. */
export class DirectoryProvider implements FileSystemProvider {
  readonly #files: Files;
  readonly #root: number;
  /** The name of the only file, if the root is one: then `#root` is its directory. */
  readonly #only: string | undefined;
  readonly #entriesMax: number;
  readonly #openFiles: OpenFiles | undefined;
  readonly #locks: HostLocks | undefined;
  #watch: DirectoryWatch | undefined;
  readonly watch?: (changed: (change: ProviderChange) => void) => () => void;
  readonly #shownBits: number;
  readonly #closed: ClosedDirectory;

  private constructor(files: Files, root: number, path: string, bounds: Bounds) {
    this.#files = files;
    this.#closed = new ClosedDirectory(path, bounds.closed);
    this.#root = root;
    this.#only = bounds.only;
    this.#entriesMax = bounds.entriesMax ?? ENTRIES_MAX;
    this.#openFiles = bounds.openFiles;
    const { inotify, locks } = bounds;
    this.#locks = locks === undefined ? undefined : new HostLocks(locks, bounds.openFiles);
    if (inotify !== undefined) this.watch = (changed) => this.#startWatch(inotify, changed);
    this.#shownBits = bounds.showsSetId === true ? PERMISSION_BITS | SET_ID_BITS : PERMISSION_BITS;
  }

  /**
   * Serves the directory, or the regular file, that `path` leads to now.
   *
   * @throws {FileSystemError} if there is none, or this process may not read it.
   */
  static open(files: Files, path: string, bounds: DirectoryBounds = {}): DirectoryProvider {
    return DirectoryProvider.openReal(files, realpathSync(path), bounds);
  }

  /**
   * Like {@linkcode open} of an absolute path without links, as `realpathSync()` gives it: who can write on the way to it must
   * not choose what is served.
   *
   * @throws {FileSystemError} ELOOP or ENOTDIR if a link lies on the path.
   */
  static openReal(files: Files, path: string, bounds: DirectoryBounds = {}): DirectoryProvider {
    const top = check(files.open("/", Open.pathOnly | Open.directory));
    try {
      const openAt = (at: string, flags: number) =>
        check(files.openBeneath(top, encodeName(at.slice(1)), Open.pathOnly | flags));
      const fd = openAt(path, 0);
      const type = typeOf(statusOf(files, fd));
      if (type === "directory") return new DirectoryProvider(files, fd, path, bounds);
      files.close(fd);
      if (type !== "file") throw new FileSystemError(type === "symlink" ? "ELOOP" : "EINVAL");
      const directory = openAt(parentPath(path), Open.directory);
      return new DirectoryProvider(files, directory, path, { ...bounds, only: baseName(path) });
    } finally {
      files.close(top);
    }
  }

  /** Whether the root is a file. */
  get isFile(): boolean {
    return this.#only !== undefined;
  }

  attributes(path: string): ProviderAttributes {
    return this.#probe(path, (_fd, status) => attributesOf(status, this.#shownBits));
  }

  list(path: string): readonly ProviderEntry[] {
    const fd = check(this.#files.openBeneath(this.#root, this.#relative(path), Open.read | Open.directory));
    try {
      return readEntries(this.#files, fd, this.#entriesMax);
    } finally {
      this.#files.close(fd);
    }
  }

  open(path: string, options: ProviderOpenOptions): ProviderFile {
    const isChange = options.create || options.truncate;
    return isChange ? this.#own([path], () => this.#open(path, options)) : this.#open(path, options);
  }

  #open(path: string, options: ProviderOpenOptions): ProviderFile {
    const isThere = this.#checkRegular(path, options.create);
    const flags =
      (options.write ? (options.read ? Open.readWrite : Open.write) : Open.read) |
      (options.append ? Open.append : 0) |
      (options.truncate ? Open.truncate : 0) |
      (options.create ? Open.create : 0) |
      (options.exclusive ? Open.exclusive : 0);
    const mode = options.mode & PERMISSION_BITS;
    const relative = this.#relative(path);
    this.#openFiles?.take();
    let fd = this.#files.openBeneath(this.#root, relative, flags | CONTENT_FLAGS, mode);
    // A file that may be written but not read.
    if (fd < 0 && errnoNameOf(-fd) === "EACCES" && options.write && options.read)
      fd = this.#files.openBeneath(
        this.#root,
        relative,
        (flags & ~Open.readWrite) | Open.write | CONTENT_FLAGS,
        mode,
      );
    if (fd < 0) this.#openFiles?.giveBack();
    check(fd);
    try {
      const own = <T>(change: () => T) => this.#own([path], change);
      const origin = {
        path,
        openFiles: this.#openFiles,
        own,
        shownBits: this.#shownBits,
        locks: this.#locks,
        isWritable: options.write,
      };
      const file = new DirectoryFile(this.#files, fd, origin); // unless it has become something else since it was looked at
      if (options.truncate) file.dropSetId();
      if (!isThere) check(this.#files.changeMode(fd, mode)); // whatever the umask of this process is
      return file;
    } catch (error) {
      this.#files.close(fd);
      this.#openFiles?.giveBack();
      throw error;
    }
  }

  readLink(path: string): string {
    return this.#probe(path, (fd, status) => {
      if (typeOf(status) !== "symlink") throw new FileSystemError("EINVAL");
      const room = new Uint8Array(TARGET_BYTES_MAX);
      return decodeName(room.subarray(0, check(this.#files.readLink(fd, room))));
    });
  }

  setAttributes(path: string, changes: AttributeChanges): void {
    this.#own([path], () => {
      const { size, ...others } = changes;
      if (size !== undefined) {
        const file = this.open(path, { ...READ_WRITE, read: false });
        try {
          file.setAttributes?.({ size });
        } finally {
          file.close();
        }
      }
      this.#probe(path, (fd, status) => changeAttributes(this.#files, fd, typeOf(status), others));
    });
  }

  makeDirectory(path: string, mode: number): void {
    this.#own([path], () => {
      this.#inParent(path, (directory, name) => check(this.#files.makeDirectory(directory, name, mode)));
      this.#probe(path, (fd) => check(this.#files.changeMode(fd, mode & PERMISSION_BITS)));
    });
  }

  makeNode(path: string, type: FileType, mode: number): void {
    this.#own([path], () => {
      if (type !== "file" && type !== "fifo" && type !== "socket") throw new FileSystemError("EPERM");
      const bits = TYPE_BITS[type] | (mode & PERMISSION_BITS);
      this.#inParent(path, (directory, name) => check(this.#files.makeNode(directory, name, bits)));
      this.#probe(path, (fd) => check(this.#files.changeMode(fd, mode & PERMISSION_BITS)));
    });
  }

  makeSymlink(path: string, target: string): void {
    this.#own([path], () => {
      const bytes = encodeName(target);
      this.#inParent(path, (directory, name) => check(this.#files.makeSymlink(bytes, directory, name)));
    });
  }

  makeLink(existing: string, path: string): void {
    this.#own([existing, path], () => {
      this.#inParent(existing, (from, name) =>
        this.#inParent(path, (to, newName) => check(this.#files.makeLink(from, name, to, newName))),
      );
    });
  }

  removeFile(path: string): void {
    this.#own([path], () => {
      this.#inParent(path, (directory, name) => check(this.#files.remove(directory, name, false)));
    });
  }

  removeDirectory(path: string): void {
    this.#own([path], () => {
      this.#inParent(path, (directory, name) => check(this.#files.remove(directory, name, true)));
    });
  }

  rename(from: string, to: string, { exclusive, exchange }: RenameOptions): void {
    this.#own([from, to], () => {
      for (const path of [from, to]) this.#closed.checkMove(path);
      const flags = (exclusive ? 1 : 0) | (exchange ? 2 : 0);
      this.#inParent(from, (directory, name) =>
        this.#inParent(to, (target, newName) =>
          check(this.#files.rename(directory, name, target, newName, flags)),
        ),
      );
    });
  }

  statistics(): ProviderStatistics {
    const numbers = this.#files.statistics(this.#root);
    if (typeof numbers === "number") throw failure(numbers);
    const [, blockBytes = 4096, blocks = 0, freeBlocks = 0, availableBlocks = 0, files = 0, freeFiles = 0] =
      numbers.map(Number);
    return { blockBytes, blocks, freeBlocks, availableBlocks, files, freeFiles };
  }

  getExtended(path: string, name: string): Uint8Array {
    return this.#extended(path, name, (fd, bytes) => {
      const room = new Uint8Array(EXTENDED_BYTES_MAX);
      return room.subarray(0, check(this.#files.getExtended(fd, bytes, room)));
    });
  }

  listExtended(path: string): readonly string[] {
    return this.#probe(path, (fd, status) => {
      if (typeOf(status) === "symlink") return [];
      const room = new Uint8Array(EXTENDED_BYTES_MAX);
      const names = decodeName(room.subarray(0, check(this.#files.listExtended(fd, room))));
      return names.split("\0").filter((name) => name.startsWith(EXTENDED_PREFIX));
    });
  }

  setExtended(path: string, name: string, value: Uint8Array, existing: "any" | "new" | "old"): void {
    this.#own([path], () => {
      const flags = existing === "new" ? 1 : existing === "old" ? 2 : 0;
      this.#extended(path, name, (fd, bytes) =>
        check(this.#files.setExtended(fd, bytes, value.slice(), flags)),
      );
    });
  }

  removeExtended(path: string, name: string): void {
    this.#own([path], () => {
      this.#extended(path, name, (fd, bytes) => check(this.#files.removeExtended(fd, bytes)));
    });
  }

  close(): void {
    this.#watch?.close();
    this.#locks?.close();
    this.#files.close(this.#root);
  }

  isWatched(directory: string): boolean {
    return this.#watch?.isWatched(directory) === true;
  }

  #startWatch(inotify: Inotify, changed: (change: ProviderChange) => void): () => void {
    const of = {
      files: this.#files,
      inotify,
      open: (path: string) => (this.#closed.has(path) ? -1 : openForWatch(this.#files, this.#root, path)),
      list: (path: string) => this.list(path),
      only: this.#only,
    };
    const watch = new DirectoryWatch(of, changed);
    this.#watch = watch;
    return () => watch.close();
  }

  /** Does what the guest asks for: it is not to be told of that. */
  #own<T>(paths: readonly string[], change: () => T): T {
    return this.#watch === undefined ? change() : this.#watch.own(paths, change);
  }

  #extended<T>(path: string, name: string, use: (fd: number, name: Uint8Array) => T): T {
    if (!name.startsWith(EXTENDED_PREFIX)) throw new FileSystemError("EOPNOTSUPP");
    return this.#probe(path, (fd, status) => {
      if (typeOf(status) === "symlink") throw new FileSystemError("EPERM");
      return use(fd, encodeName(name));
    });
  }

  /** The path below the root, as bytes. */
  #relative(path: string): Uint8Array {
    this.#closed.check(path);
    if (this.#only === undefined) return encodeName(path.slice(1));
    if (path !== "/") throw new FileSystemError("ENOTDIR");
    return encodeName(this.#only);
  }

  /** Looks at what a path names, without opening it. */
  #probe<T>(path: string, use: (fd: number, status: FileStatus) => T): T {
    const fd = check(this.#files.openBeneath(this.#root, this.#relative(path), Open.pathOnly));
    try {
      return use(fd, statusOf(this.#files, fd));
    } finally {
      this.#files.close(fd);
    }
  }

  /** Opens the directory of a path for what is done to the entry. */
  #inParent<T>(path: string, use: (directory: number, name: Uint8Array) => T): T {
    if (this.#only !== undefined) throw new FileSystemError("EPERM");
    if (path === "/") throw new FileSystemError("EBUSY");
    const flags = Open.pathOnly | Open.directory;
    const directory = check(this.#files.openBeneath(this.#root, this.#relative(parentPath(path)), flags));
    try {
      return use(directory, encodeName(baseName(path)));
    } finally {
      this.#files.close(directory);
    }
  }

  /** Refuses what is no regular file before it is opened: that alone can block, or do something to a device. */
  #checkRegular(path: string, mayBeMissing: boolean): boolean {
    const fd = this.#files.openBeneath(this.#root, this.#relative(path), Open.pathOnly);
    if (fd < 0 && mayBeMissing && errnoNameOf(-fd) === "ENOENT") return false;
    check(fd);
    const type = typeOf(statusOf(this.#files, fd));
    this.#files.close(fd);
    if (type === "file") return true;
    throw new FileSystemError(type === "directory" ? "EISDIR" : type === "symlink" ? "ELOOP" : "EACCES");
  }
}

const READ_WRITE: ProviderOpenOptions = {
  ...{ read: true, write: true, append: false, truncate: false },
  ...{ create: false, exclusive: false, mode: 0 },
};
