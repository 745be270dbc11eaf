/**
 * What is said within a file session: requests of a client, and the answers of the child that the guest's agent forked for
 * it. `scripts/generate_protocol_header.ts` writes `guest/file_protocol.h` from this table; a test fails if they differ.
 *
 * The messages travel in the session's data channels, `stdin` and `stdout`, with the windows that those have:
 *
 * ```text
 * u32 size of what follows | u32 id | u8 type | fields
 * ```
 *
 * Requests are answered in the order in which they were sent, so that any number may be under way. An answer has the id of
 * its request. `done`, `failed`, `attributes` and `path` are final; the others come before one.
 * Paths are bytes, as the guest's kernel has them: neither zero-terminated nor necessarily UTF-8.
 *
 * @module
 */
import type { MessageDefinition, MessageFieldsOf } from "./messages.ts";

/** Most content bytes in one message. */
export const FILE_DATA_BYTES_MAX = 128 * 1024;
/** Largest message, without its size: content, two paths, and the rest. */
export const FILE_MESSAGE_BYTES_MAX = FILE_DATA_BYTES_MAX + 12 * 1024;
/** Longest path, without its zero: PATH_MAX of Linux. */
export const FILE_PATH_BYTES_MAX = 4095;

/** The kind of a file, in `stat` and `entry`. */
export const FileKind = {
  file: 1,
  directory: 2,
  symlink: 3,
  fifo: 4,
  socket: 5,
  characterDevice: 6,
  blockDevice: 7,
} as const;

/** Bits of `flags` in requests. Each request takes those that make sense for it and refuses the others with EINVAL. */
export const FileFlag = {
  /** Make the directories above the path that are missing. */
  parents: 1 << 0,
  /** Make the file if it is not there. */
  create: 1 << 1,
  /** Refuse if it is there already (EEXIST). */
  exclusive: 1 << 2,
  /** Drop what the file holds. */
  truncate: 1 << 3,
  /** Write at the end, whatever the offset is. */
  append: 1 << 4,
  /** Write to a new file beside it, and rename that into place once it is complete. */
  atomic: 1 << 5,
  /** Set the mode exactly, also of a file that is there already. */
  setMode: 1 << 6,
  /** Set the time of the last change. */
  setModified: 1 << 7,
  /** Refuse anything that could block (a FIFO, a device) with ENODEV. */
  regularOnly: 1 << 8,
  /** What the path names itself, not what a symbolic link leads to. */
  noFollow: 1 << 9,
  /** The whole tree below. */
  recursive: 1 << 10,
  /** It is no error if nothing is there. */
  force: 1 << 11,
  /** Only a directory. */
  directory: 1 << 12,
  /** Anything but a directory. */
  notDirectory: 1 << 13,
  /** Replace what is there, unless it is a directory. */
  replace: 1 << 14,
  /** With the content of regular files. */
  content: 1 << 15,
  /** Bring it to the disk before answering. */
  sync: 1 << 16,
  /** Set the time of the last access. */
  setAccessed: 1 << 17,
} as const;

/** `change.kind`. */
export const FileChange = {
  created: 1,
  modified: 2,
  removed: 3,
  movedFrom: 4,
  movedTo: 5,
  attributes: 6,
  /** The kernel dropped changes: look again at everything. */
  overflow: 7,
  /** What was watched is gone. */
  gone: 8,
} as const;

/** Leaves an owner as it is, in `chown`. */
export const FILE_OWNER_UNCHANGED = 0xffff_ffff;

/** Fields of `attributes` and `entry`. Times are nanoseconds since 1970; sizes beyond a safe integer are cut to the largest. */
const STAT_FIELDS = {
  kind: "u8",
  mode: "u16",
  uid: "u32",
  gid: "u32",
  size: "u64",
  allocated: "u64",
  links: "u32",
  device: "i64",
  inode: "i64",
  special: "i64",
  accessedNs: "i64",
  modifiedNs: "i64",
  changedNs: "i64",
  createdNs: "i64",
} as const;

/** Every message of a file session. Numbers are never reused. */
export const FILE_MESSAGES = {
  // ---- requests
  read: {
    type: 0x01,
    about: "content from offset on, at most length bytes: opened, data, done",
    fields: { path: "blob", flags: "u32", offset: "u64", length: "u64" },
  },
  write: {
    type: 0x02,
    about: "the whole content of a file, or a part of it at offset: done",
    fields: { path: "blob", flags: "u32", mode: "u32", offset: "u64", modifiedNs: "i64", data: "bytes" },
  },
  writeOpen: {
    type: 0x03,
    about:
      "as write, with the content in the writeData messages of the same id that follow: opened, then done",
    fields: { path: "blob", flags: "u32", mode: "u32", offset: "u64", modifiedNs: "i64" },
  },
  writeData: { type: 0x04, about: "more content", fields: { data: "bytes" } },
  writeHole: { type: 0x05, about: "that many bytes of zeros, left out of the file", fields: { size: "u64" } },
  writeEnd: { type: 0x06, about: "the content is complete", fields: {} },
  stat: { type: 0x07, about: "attributes", fields: { path: "blob", flags: "u32" } },
  access: {
    type: 0x08,
    about: "whether the session's user may read (4), write (2), execute (1) it; 0: whether it is there",
    fields: { path: "blob", mode: "u32" },
  },
  list: { type: 0x09, about: "entries of a directory, by name: entry, done", fields: { path: "blob" } },
  walk: {
    type: 0x0a,
    about:
      "a tree, each directory before what is in it, by path below it: entry (the root has an empty path), data and hole of regular files with content, done",
    fields: { path: "blob", flags: "u32", depthMax: "u32" },
  },
  mkdir: { type: 0x0b, about: "done", fields: { path: "blob", flags: "u32", mode: "u32" } },
  remove: { type: 0x0c, about: "done", fields: { path: "blob", flags: "u32" } },
  rename: { type: 0x0d, about: "done", fields: { from: "blob", to: "blob", flags: "u32" } },
  copy: { type: 0x0e, about: "within the guest: done", fields: { from: "blob", to: "blob", flags: "u32" } },
  symlink: { type: 0x0f, about: "done", fields: { target: "blob", path: "blob", flags: "u32" } },
  link: { type: 0x10, about: "done", fields: { existing: "blob", path: "blob", flags: "u32" } },
  readLink: { type: 0x11, about: "path", fields: { path: "blob" } },
  realPath: { type: 0x12, about: "path", fields: { path: "blob" } },
  chmod: { type: 0x13, about: "done", fields: { path: "blob", flags: "u32", mode: "u32" } },
  chown: {
    type: 0x14,
    about: "to uid and gid, or, unless it is empty, to `user`, `user:group` or `:group`: done",
    fields: { path: "blob", flags: "u32", uid: "u32", gid: "u32", owner: "text" },
  },
  utimes: {
    type: 0x15,
    about: "done",
    fields: { path: "blob", flags: "u32", accessedNs: "i64", modifiedNs: "i64" },
  },
  truncate: { type: 0x16, about: "done", fields: { path: "blob", size: "u64" } },
  makeTemp: {
    type: 0x17,
    about: "a new file, or with the flag a directory, of a name that was not there: path",
    fields: { directory: "blob", prefix: "blob", suffix: "blob", flags: "u32" },
  },
  watch: {
    type: 0x18,
    about: "opened once the watch stands, then change until the session is closed",
    fields: { path: "blob", flags: "u32" },
  },

  // ---- answers
  done: { type: 0x40, about: "it is done", fields: {} },
  failed: {
    type: 0x41,
    about: "it is not; path is where, if that is not what the request named",
    fields: { errno: "i32", path: "blob" },
  },
  opened: { type: 0x42, about: "the file is open", fields: STAT_FIELDS },
  attributes: { type: 0x43, about: "answer to stat", fields: STAT_FIELDS },
  entry: {
    type: 0x44,
    about: "an entry of list or walk",
    fields: { path: "blob", target: "blob", ...STAT_FIELDS },
  },
  data: { type: 0x45, about: "content", fields: { data: "bytes" } },
  hole: { type: 0x46, about: "that many bytes of zeros", fields: { size: "u64" } },
  path: { type: 0x47, about: "answer to readLink, realPath, makeTemp", fields: { path: "blob" } },
  change: {
    type: 0x48,
    about: "something changed. path is below what is watched; moves of one file have the same cookie",
    fields: { kind: "u8", isDirectory: "u8", cookie: "u32", path: "blob" },
  },
  unread: {
    type: 0x49,
    about: "an entry of walk that could not be read, in place of its content or of what is below it",
    fields: { errno: "i32" },
  },
} as const satisfies Readonly<Record<string, MessageDefinition>>;

export type FileMessageName = keyof typeof FILE_MESSAGES;

/** The fields of one message as JavaScript values. */
export type FileMessageFields<N extends FileMessageName> = MessageFieldsOf<
  (typeof FILE_MESSAGES)[N]["fields"]
>;

/** One decoded message: switch on `name`. */
export type FileMessage = {
  readonly [N in FileMessageName]: {
    readonly name: N;
    readonly id: number;
    readonly fields: FileMessageFields<N>;
  };
}[FileMessageName];

/** What `stat`, `opened` and `entry` tell of a file. */
export type FileAttributes = FileMessageFields<"attributes">;
