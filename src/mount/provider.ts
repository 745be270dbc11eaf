/**
 * What a mount is made of: a file system whose every operation is a call.
 *
 * @module
 */

/** A value, or a promise of it. Calls that need not wait are answered faster without one. */
export type MaybePromise<T> = T | Promise<T>;

/** What kind of file it is. */
export type FileType =
  | "file"
  | "directory"
  | "symlink"
  | "fifo"
  | "socket"
  | "characterDevice"
  | "blockDevice";

/** What is known of a file. Times are nanoseconds since 1970. */
export interface ProviderAttributes {
  /** What kind of file it is. */
  readonly type: FileType;
  /** Permission bits, 0 to 0o7777. */
  readonly mode: number;
  /** Bytes; of a symbolic link, those of its target. */
  readonly size: number;
  /** Bytes that it takes. @default `size` */
  readonly allocated?: number | undefined;
  /** Names that it has. @default {1} */
  readonly links?: number | undefined;
  /** Number of the user whom it belongs to. */
  readonly uid: number;
  /** Number of the group that it belongs to. */
  readonly gid: number;
  /**
   * Its number, the same for as long as it exists. Two paths with the same number (and `device`) are one file to the guest.
   */
  readonly inode: bigint;
  /** Tells a new file from an earlier one of the same number, e.g. the time when it was made. @default {0n} */
  readonly generation?: bigint | undefined;
  /** Tells file systems within the provider apart. @default {0n} */
  readonly device?: bigint | undefined;
  /** Number of a device file. @default {0} */
  readonly special?: number | undefined;
  /** When it was read last. */
  readonly accessedNs: bigint;
  /** When its content was changed last. */
  readonly modifiedNs: bigint;
  /** When anything of it was changed last. */
  readonly changedNs: bigint;
}

/** What of a file is to change; what is not named stays. */
export interface AttributeChanges {
  /** Permission bits, 0 to 0o7777. */
  readonly mode?: number | undefined;
  /** Number of a user. */
  readonly uid?: number | undefined;
  /** Number of a group. */
  readonly gid?: number | undefined;
  /** Bytes: the file is cut off there, or filled up with zeros. */
  readonly size?: number | undefined;
  /** When it was read last, in nanoseconds since 1970. */
  readonly accessedNs?: bigint | undefined;
  /** When its content was changed last, in nanoseconds since 1970. */
  readonly modifiedNs?: bigint | undefined;
}

/** One entry of a directory. */
export interface ProviderEntry {
  /** Its name in the directory. */
  readonly name: string;
  /** What kind of file it is. */
  readonly type: FileType;
  /** Its number: see {@linkcode ProviderAttributes.inode}. */
  readonly inode: bigint;
}

/** How a file is opened. */
export interface ProviderOpenOptions {
  /** Whether it is read. */
  readonly read: boolean;
  /** Whether it is written. */
  readonly write: boolean;
  /** Writes go to the end of the file. */
  readonly append: boolean;
  /** Whether what it holds is dropped. */
  readonly truncate: boolean;
  /** Whether to make the file, with `mode`, if it is not there. */
  readonly create: boolean;
  /** With `create`: refuse with EEXIST if it is there. */
  readonly exclusive: boolean;
  /** Permission bits of a file that is made. */
  readonly mode: number;
}

/** A lock that a program of the guest takes, changes or gives up. */
export interface ProviderLock {
  /** The holder: any number, the same for the same holder. */
  readonly owner: bigint;
  /** `record`: a lock of fcntl(2). `whole`: a lock of flock(2). They are independent. */
  readonly kind: "record" | "whole";
  /** Which; `none` gives up what the holder has in the range. */
  readonly type: "shared" | "exclusive" | "none";
  /** The first byte. */
  readonly start: bigint;
  /** The last byte; 2^63 - 1 for all that come. */
  readonly end: bigint;
}

/** A conflicting lock of another holder. */
export type LockConflict = Pick<ProviderLock, "type" | "start" | "end">;

/** An open file. */
export interface ProviderFile {
  /** At most `length` bytes from `offset` on; fewer only at the end of the file. */
  read(offset: number, length: number): MaybePromise<Uint8Array>;
  /** Writes all of `data` at `offset`. `data` may not be kept. */
  write?(offset: number, data: Uint8Array): MaybePromise<void>;
  /** Attributes of the file, also once no path leads to it any more. */
  attributes(): MaybePromise<ProviderAttributes>;
  /** Changes the file, also once no path leads to it any more. */
  setAttributes?(changes: AttributeChanges): MaybePromise<void>;
  /** Brings what was written to where it is kept; with `dataOnly` times may be left out. */
  sync?(dataOnly: boolean): MaybePromise<void>;
  /** Like fallocate(2) with that mode. */
  allocate?(mode: number, offset: number, length: number): MaybePromise<void>;
  /** The next data, or the next hole, at or after `offset`. Fails with ENXIO beyond the end. */
  seek?(offset: number, what: "data" | "hole"): MaybePromise<number>;
  /**
   * Takes, changes or gives up a lock, and does not wait for it: fails with EAGAIN if another holder has one. Without it locks hold
   * among the programs of one sandbox.
   */
  lock?(lock: ProviderLock): MaybePromise<void>;
  /** The lock of another holder that conflicts with a lock, if there is one. */
  testLock?(lock: ProviderLock): MaybePromise<LockConflict | undefined>;
  /** The guest is done with it. */
  close(): MaybePromise<void>;
}

/** How large a file system is; see statfs(2). */
export interface ProviderStatistics {
  /** Bytes of a block. */
  readonly blockBytes: number;
  /** All blocks. */
  readonly blocks: number;
  /** Blocks that are free. */
  readonly freeBlocks: number;
  /** Blocks that are free for users other than root. */
  readonly availableBlocks: number;
  /** Files that there can be. */
  readonly files: number;
  /** Files that can still be made. */
  readonly freeFiles: number;
}

/** How a rename treats a file at the new path. */
export interface RenameOptions {
  /** Refuse with EEXIST. */
  readonly exclusive: boolean;
  /** Both change places. */
  readonly exchange: boolean;
}

/** What happened to a file without the guest's doing. */
export interface ProviderChange {
  /**
   * `created` and `removed` are about a name, `renamed` about two. `modified` is about what a file holds, `attributes` about its
   * mode, owner or times. With `lost` it is not known what has changed: everything may have, and `path` is `/`.
   */
  readonly kind: "created" | "removed" | "renamed" | "modified" | "attributes" | "lost";
  /** The file, or with `renamed` its new path. */
  readonly path: string;
  /** With `renamed`: the path that it had. */
  readonly from?: string | undefined;
  /** With `removed`: whether it was a directory. @default {false} */
  readonly isDirectory?: boolean | undefined;
}

/**
 * A file system that a sandbox can mount. Paths begin with `/`, have no `.`, `..` or doubled slashes, and name the file itself,
 * not what a symbolic link leads to; the guest resolves links. Methods fail by throwing a `FileSystemError`, or an error of
 * `node:fs`. A method that is missing is refused with EROFS if it would change something, and with ENOSYS or EOPNOTSUPP else.
 *
 * A guest is not trusted: names are checked before they come here, sizes and offsets are any numbers.
 */
export interface FileSystemProvider {
  /** Of the file at `path`; the root must be there. */
  attributes(path: string): MaybePromise<ProviderAttributes>;
  /** Everything in a directory, without `.` and `..`. */
  list(path: string): MaybePromise<readonly ProviderEntry[]>;
  /** Opens a regular file. */
  open(path: string, options: ProviderOpenOptions): MaybePromise<ProviderFile>;
  /** The target of a symbolic link. */
  readLink?(path: string): MaybePromise<string>;
  /** Changes the file at `path`. */
  setAttributes?(path: string, changes: AttributeChanges): MaybePromise<void>;
  /** Makes a directory with these permission bits. Fails with EEXIST. */
  makeDirectory?(path: string, mode: number): MaybePromise<void>;
  /** Makes an empty file, a FIFO, a socket, or a device with the number `special`. */
  makeNode?(path: string, type: FileType, mode: number, special: number): MaybePromise<void>;
  /** Makes a symbolic link at `path`. Fails with EEXIST. */
  makeSymlink?(path: string, target: string): MaybePromise<void>;
  /** Gives an existing file another name. Fails with EEXIST. */
  makeLink?(existing: string, path: string): MaybePromise<void>;
  /** Removes what is not a directory. */
  removeFile?(path: string): MaybePromise<void>;
  /** Removes a directory. Fails with ENOTEMPTY. */
  removeDirectory?(path: string): MaybePromise<void>;
  /** Renames, and replaces what has the new path unless the options say otherwise. */
  rename?(from: string, to: string, options: RenameOptions): MaybePromise<void>;
  /** How large it is, and how full. */
  statistics?(): MaybePromise<ProviderStatistics>;
  /** The value of an extended attribute. Fails with ENODATA. */
  getExtended?(path: string, name: string): MaybePromise<Uint8Array>;
  /** Names of all extended attributes. */
  listExtended?(path: string): MaybePromise<readonly string[]>;
  /** Sets an extended attribute. `new` fails with EEXIST if it is there, `old` with ENODATA if it is not. */
  setExtended?(
    path: string,
    name: string,
    value: Uint8Array,
    existing: "any" | "new" | "old",
  ): MaybePromise<void>;
  /** Removes an extended attribute. Fails with ENODATA. */
  removeExtended?(path: string, name: string): MaybePromise<void>;
  /**
   * Calls `changed` after each change that did not come through this mount; returns what ends that. The guest sees the change at
   * once, and inotify there tells of it.
   */
  watch?(changed: (change: ProviderChange) => void): () => void;
  /**
   * Whether `watch` tells of every change in a directory from now on: of names in it, and of the files that they name. The guest
   * believes for a minute what it was told there, and for a second elsewhere. Without this method, no directory is watched.
   */
  isWatched?(directory: string): boolean;
  /** The mount is gone. */
  close?(): MaybePromise<void>;
}
