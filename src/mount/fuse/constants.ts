/**
 * Numbers of the FUSE protocol, as the kernel's `include/uapi/linux/fuse.h` has them.
 *
 * @module
 */

export const FUSE_MAJOR = 7;
/** The version that this server speaks. The kernel falls back to it if it knows more; an older one is refused. */
export const FUSE_MINOR = 36;
/** Since this version requests have the shape that is read here. */
export const FUSE_MINOR_MIN = 31;

export const IN_HEADER_BYTES = 40;
export const OUT_HEADER_BYTES = 16;
export const ATTRIBUTES_BYTES = 88;
export const ENTRY_OUT_BYTES = 128;

/** The root of every mount. */
export const ROOT_ID = 1n;

export const Opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  getlk: 31,
  setlk: 32,
  setlkw: 33,
  access: 34,
  create: 35,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  tmpfile: 51,
} as const;

/** Bits of `init`. */
export const InitFlag = {
  asyncRead: 1 << 0,
  recordLocks: 1 << 1,
  atomicTruncate: 1 << 3,
  bigWrites: 1 << 5,
  dontMask: 1 << 6,
  wholeLocks: 1 << 10,
  autoInvalidateData: 1 << 12,
  readdirplus: 1 << 13,
  readdirplusAuto: 1 << 14,
  asyncDirectIo: 1 << 15,
  writebackCache: 1 << 16,
  parallelDirectoryOps: 1 << 18,
  handleKillPrivileges: 1 << 19,
  abortError: 1 << 21,
  maxPages: 1 << 22,
  cacheSymlinks: 1 << 23,
  handleKillPrivileges2: 1 << 28,
} as const;

/** Bits of `setattr.valid`. */
export const SetattrFlag = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  accessed: 1 << 4,
  modified: 1 << 5,
  handle: 1 << 6,
  accessedNow: 1 << 7,
  modifiedNow: 1 << 8,
  dropSetId: 1 << 11,
} as const;

/** Bits of `open_out.open_flags`. */
export const OpenOutFlag = {
  directIo: 1 << 0,
  keepCache: 1 << 1,
  cacheDirectory: 1 << 3,
  noFlush: 1 << 5,
} as const;

/** open(2) flags; the same on x86_64 and aarch64 as far as they are read here. */
export const OpenFlag = {
  accessMask: 3,
  writeOnly: 1,
  readWrite: 2,
  create: 0o100,
  exclusive: 0o200,
  truncate: 0o1000,
  append: 0o2000,
} as const;

/** Unsolicited messages, in the place of an error. */
export const Notify = { invalidateInode: 2, invalidateEntry: 3 } as const;

export const GETATTR_HANDLE = 1;
/** In `open_in.open_flags`, also of `create`. */
export const OPEN_DROP_SET_ID = 1;
/** In `write_in.write_flags`. */
export const WRITE_DROP_SET_ID = 1 << 2;
export const FSYNC_DATA_ONLY = 1;
export const RELEASE_FLOCK_UNLOCK = 2;
export const RENAME_EXCLUSIVE = 1;
export const RENAME_EXCHANGE = 2;
export const XATTR_CREATE = 1;
export const XATTR_REPLACE = 2;
export const SEEK_DATA = 3;
export const SEEK_HOLE = 4;

/** `S_IFMT` of a mode, by type. */
export const TYPE_BITS = {
  fifo: 0o010000,
  characterDevice: 0o020000,
  directory: 0o040000,
  blockDevice: 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;
