/**
 * Files of this machine by descriptor, below a directory that no path leads out of. `node:fs` has paths only, and what a path
 * means can change between two calls.
 *
 * Every method returns what the system call does, or `-errno`: a caller that serves a file system answers with that number.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { loadNativeInterface } from "./bind.ts";
import { openCLibrary, resultReader } from "./c_library.ts";
import { FILE_SYMBOLS } from "./file_symbols.ts";
import type { Bound, NativeInterface } from "./symbol_table.ts";

/** Values of `<fcntl.h>` on Linux. Those that differ by processor are given for it. */
const isArm = process.arch === "arm64";
export const Open = {
  read: 0,
  write: 1,
  readWrite: 2,
  create: 0o100,
  exclusive: 0o200,
  noTerminal: 0o400,
  truncate: 0o1000,
  append: 0o2000,
  nonBlocking: 0o4000,
  directory: isArm ? 0o40000 : 0o200000,
  noFollow: isArm ? 0o100000 : 0o400000,
  closeOnExec: 0o2000000,
  /** The file itself is not opened: what it is, is known. */
  pathOnly: 0o10000000,
} as const;

/** Values of `<linux/openat2.h>`. */
const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const SYS_OPENAT2 = 437n;
const OPEN_HOW_BYTES = 24;

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_AND_BIRTH = 0xfff;
const STATX_BYTES = 256;
const UTIME_OMIT = 0x3fff_fffen;
const BILLION = 1_000_000_000n;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const SEEK_FAILED = 0xffff_ffff_ffff_ffffn;
const UNCHANGED_ID = 0xffff_ffff;
const ENOSYS = 38;
const EPERM = 1;
const SIGXFSZ = 25;
const SIG_IGN = 1n;
const EXDEV = 18;
const DOT = 0x2e;

const encoder = new TextEncoder();
const EMPTY = Uint8Array.of(0);

/** The result of statx(2). */
export interface FileStatus {
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly inode: bigint;
  readonly size: number;
  readonly allocated: number;
  readonly device: bigint;
  readonly special: number;
  readonly accessedNs: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
  readonly createdNs: bigint;
}

/** See the module. Paths and names are bytes without a zero. */
export class Files {
  readonly #c: Bound<typeof FILE_SYMBOLS>;
  readonly #result: (result: number) => number;
  readonly #how: Bytes = new Uint8Array(OPEN_HOW_BYTES);
  readonly #statx: Bytes = new Uint8Array(STATX_BYTES);
  #hasOpenat2: boolean;

  private constructor(native: NativeInterface, c: Bound<typeof FILE_SYMBOLS>, hasOpenat2: boolean) {
    this.#c = c;
    this.#result = resultReader(native, c);
    this.#hasOpenat2 = hasOpenat2;
  }

  /**
   * @param hasOpenat2 `false` does as on a kernel without it.
   * @throws {UnsupportedError} on a runtime without FFI. @throws {InternalError} if the C library lacks a function.
   */
  static async load(hasOpenat2 = true): Promise<Files> {
    const native = await loadNativeInterface();
    const files = new Files(native, openCLibrary(native, FILE_SYMBOLS), hasOpenat2);
    files.#ignoreFileSizeSignal();
    return files;
  }

  /**
   * Makes writes past the limit of file sizes (`ulimit -f`) fail with EFBIG. By default they end the process, and the guest
   * chooses what is written.
   */
  #ignoreFileSizeSignal(): void {
    this.#c.signal(SIGXFSZ, SIG_IGN);
  }

  /** Opens what a trusted path leads to. */
  open(path: string, flags: number): number {
    return this.#result(
      this.#c.openat(AT_FDCWD, terminated(encoder.encode(path)), flags | Open.closeOnExec, 0),
    );
  }

  /**
   * Opens `path` below the directory `root`, by no symbolic link on the way, and not one at its end: that is ELOOP, unless with
   * {@linkcode Open.pathOnly}. An empty path is the root itself.
   */
  openBeneath(root: number, path: Uint8Array, flags: number, mode = 0): number {
    const all = flags | Open.closeOnExec | Open.noFollow;
    const relative = path.length === 0 ? Uint8Array.of(DOT) : path;
    if (!this.#hasOpenat2) return this.#openByNames(root, relative, all, mode);
    const view = new DataView(this.#how.buffer);
    view.setBigUint64(0, BigInt(all), true);
    view.setBigUint64(8, BigInt((flags & Open.create) === 0 ? 0 : mode), true);
    view.setBigUint64(16, BigInt(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), true);
    const how = BigInt(OPEN_HOW_BYTES);
    const fd = this.#result(this.#c.syscall(SYS_OPENAT2, root, terminated(relative), this.#how, how));
    // Older than Linux 5.6, or forbidden by a filter of system calls that does not know it: then a name at a time.
    if (fd !== -ENOSYS && fd !== -EPERM) return fd;
    if (fd === -EPERM && (flags & Open.create) !== 0) return fd;
    const probe = this.#openByNames(root, relative, all, mode);
    if (fd === -ENOSYS) this.#hasOpenat2 = false;
    return probe;
  }

  /** Each directory on the way by its name in the one before, and never through a link. */
  #openByNames(root: number, path: Uint8Array, flags: number, mode: number): number {
    const names = split(path);
    if (names.some((name) => name.length === 2 && name[0] === DOT && name[1] === DOT)) return -EXDEV; // as openat2 does
    const last = names.pop() ?? Uint8Array.of(DOT);
    let directory = root;
    for (const name of names) {
      const step = Open.pathOnly | Open.directory | Open.noFollow | Open.closeOnExec;
      const next = this.#result(this.#c.openat(directory, terminated(name), step, 0));
      if (directory !== root) this.close(directory);
      if (next < 0) return next;
      directory = next;
    }
    const fd = this.#result(this.#c.openat(directory, terminated(last), flags, mode));
    if (directory !== root) this.close(directory);
    return fd;
  }

  close(fd: number): void {
    this.#c.close(fd);
  }

  /** What an open file is. */
  status(fd: number): FileStatus | number {
    const result = this.#c.statx(
      fd,
      EMPTY,
      AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW,
      STATX_BASIC_AND_BIRTH,
      this.#statx,
    );
    return result === 0 ? readStatx(this.#statx) : this.#result(result);
  }

  read(fd: number, room: Bytes, offset: number): number {
    return this.#result(this.#c.pread(fd, room, BigInt(room.length), BigInt(offset)));
  }

  write(fd: number, bytes: Bytes, offset: number): number {
    return this.#result(this.#c.pwrite(fd, bytes, BigInt(bytes.length), BigInt(offset)));
  }

  /** Fills `room` with `struct linux_dirent64`; 0 at the end. */
  readDirectory(fd: number, room: Bytes): number {
    return this.#result(this.#c.getdents64(fd, room, BigInt(room.length)));
  }

  truncate(fd: number, size: number): number {
    return this.#result(this.#c.ftruncate(fd, BigInt(size)));
  }

  sync(fd: number, dataOnly: boolean): number {
    return this.#result(dataOnly ? this.#c.fdatasync(fd) : this.#c.fsync(fd));
  }

  allocate(fd: number, mode: number, offset: number, length: number): number {
    return this.#result(this.#c.fallocate(fd, mode, BigInt(offset), BigInt(length)));
  }

  seek(fd: number, offset: number, what: "data" | "hole"): number {
    const found = this.#c.lseek(fd, BigInt(offset), what === "data" ? SEEK_DATA : SEEK_HOLE);
    return found === SEEK_FAILED ? this.#result(-1) : Number(found);
  }

  /** The first seven numbers of `struct statfs`. */
  statistics(fd: number): readonly bigint[] | number {
    const room = new Uint8Array(256);
    const result = this.#c.fstatfs(fd, room);
    return result === 0 ? [...new BigUint64Array(room.buffer, 0, 7)] : this.#result(result);
  }

  makeDirectory(directory: number, name: Uint8Array, mode: number): number {
    return this.#result(this.#c.mkdirat(directory, terminated(name), mode));
  }

  makeNode(directory: number, name: Uint8Array, mode: number): number {
    return this.#result(this.#c.mknodat(directory, terminated(name), mode, 0n));
  }

  remove(directory: number, name: Uint8Array, isDirectory: boolean): number {
    return this.#result(this.#c.unlinkat(directory, terminated(name), isDirectory ? AT_REMOVEDIR : 0));
  }

  /** `flags`: 1 refuses to replace, 2 exchanges. */
  rename(from: number, name: Uint8Array, to: number, newName: Uint8Array, flags: number): number {
    return this.#result(this.#c.renameat2(from, terminated(name), to, terminated(newName), flags));
  }

  makeSymlink(target: Uint8Array, directory: number, name: Uint8Array): number {
    return this.#result(this.#c.symlinkat(terminated(target), directory, terminated(name)));
  }

  makeLink(from: number, name: Uint8Array, to: number, newName: Uint8Array): number {
    return this.#result(this.#c.linkat(from, terminated(name), to, terminated(newName), 0));
  }

  /** The target of a link that was opened with {@linkcode Open.pathOnly}. */
  readLink(fd: number, room: Bytes): number {
    return this.#result(this.#c.readlinkat(fd, EMPTY, room, BigInt(room.length)));
  }

  /** By a descriptor that may be {@linkcode Open.pathOnly}, of anything but a link. */
  changeMode(fd: number, mode: number): number {
    return this.#result(this.#c.fchmodat(AT_FDCWD, descriptorPath(fd), mode, 0));
  }

  changeOwner(fd: number, uid: number | undefined, gid: number | undefined): number {
    const flags = AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW;
    return this.#result(this.#c.fchownat(fd, EMPTY, uid ?? UNCHANGED_ID, gid ?? UNCHANGED_ID, flags));
  }

  changeTimes(fd: number, accessedNs: bigint | undefined, modifiedNs: bigint | undefined): number {
    const times = new Uint8Array(32);
    const view = new DataView(times.buffer);
    [accessedNs, modifiedNs].forEach((time, index) => {
      const nanoseconds = time === undefined ? UTIME_OMIT : ((time % BILLION) + BILLION) % BILLION;
      view.setBigInt64(16 * index, time === undefined ? 0n : (time - nanoseconds) / BILLION, true);
      view.setBigInt64(16 * index + 8, nanoseconds, true);
    });
    return this.#result(this.#c.utimensat(fd, EMPTY, times, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW));
  }

  /** 0 bytes of room asks for the size. */
  getExtended(fd: number, name: Uint8Array, room: Bytes): number {
    return this.#result(this.#c.getxattr(descriptorPath(fd), terminated(name), room, BigInt(room.length)));
  }

  /** `flags`: 1 refuses one that is there, 2 one that is not. */
  setExtended(fd: number, name: Uint8Array, value: Bytes, flags: number): number {
    const size = BigInt(value.length);
    return this.#result(this.#c.setxattr(descriptorPath(fd), terminated(name), value, size, flags));
  }

  listExtended(fd: number, room: Bytes): number {
    return this.#result(this.#c.listxattr(descriptorPath(fd), room, BigInt(room.length)));
  }

  removeExtended(fd: number, name: Uint8Array): number {
    return this.#result(this.#c.removexattr(descriptorPath(fd), terminated(name)));
  }
}

/** Names an open file for calls that take paths only. Such a path is never a link to anywhere else. */
function descriptorPath(fd: number): Bytes {
  return encoder.encode(`/proc/self/fd/${fd}\0`);
}

function terminated(bytes: Uint8Array): Bytes {
  const result = new Uint8Array(bytes.length + 1);
  result.set(bytes);
  return result;
}

function split(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = [];
  for (let begin = 0; begin <= path.length; ) {
    const slash = path.indexOf(0x2f, begin);
    const end = slash === -1 ? path.length : slash;
    if (end > begin) names.push(path.subarray(begin, end));
    begin = end + 1;
  }
  return names;
}

function readStatx(bytes: Bytes): FileStatus {
  const view = new DataView(bytes.buffer);
  const time = (offset: number) =>
    view.getBigInt64(offset, true) * BILLION + BigInt(view.getUint32(offset + 8, true));
  const device = (offset: number) =>
    (BigInt(view.getUint32(offset, true)) << 32n) | BigInt(view.getUint32(offset + 4, true));
  return {
    links: view.getUint32(16, true),
    uid: view.getUint32(20, true),
    gid: view.getUint32(24, true),
    mode: view.getUint16(28, true),
    inode: view.getBigUint64(32, true),
    size: Number(view.getBigUint64(40, true)),
    allocated: Number(view.getBigUint64(48, true)) * 512,
    accessedNs: time(64),
    createdNs: time(80),
    changedNs: time(96),
    modifiedNs: time(112),
    // The kernel's encoding for user space: 12 bits of the major number above 8 of the minor one, and its other 12.
    special: encodeDevice(view.getUint32(128, true), view.getUint32(132, true)),
    device: device(136),
  };
}

function encodeDevice(major: number, minor: number): number {
  return (((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0) as number;
}
