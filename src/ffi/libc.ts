/**
 * File descriptors and process settings by the C library, for what `node:*` cannot do: descriptors that libkrun may
 * keep, a connected unix socket as a descriptor, a FIFO, a signal at the parent's death.
 *
 * @module
 */
import { encodeUtf8 } from "../base/bytes.ts";
import { IoError } from "../base/errors.ts";
import { loadNativeInterface } from "./bind.ts";
import { openCLibrary, readErrno } from "./c_library.ts";
import { cString } from "./c_memory.ts";
import { errnoName } from "./errno.ts";
import { checkHostPath, checkSocketPath } from "./krun_checks.ts";
import { LIBC_SYMBOLS } from "./libc_symbols.ts";
import type { Bound, NativeInterface } from "./symbol_table.ts";

/** Values of `<fcntl.h>`, `<sys/socket.h>` and `<sys/prctl.h>` on Linux; those in use are the same on x86_64 and aarch64. */
const O_WRONLY = 0o1;
const O_RDWR = 0o2;
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_APPEND = 0o2000;
const O_CLOEXEC = 0o2000000;
const F_GETFD = 1;
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const PR_SET_PDEATHSIG = 1;
const PR_SET_DUMPABLE = 4;

/** How {@linkcode Libc.openFile} opens. `"append"` and `"write"` create the file, with mode 0600. */
export type OpenMode = "read" | "readWrite" | "write" | "append";

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: 0,
  readWrite: O_RDWR,
  write: O_WRONLY | O_CREAT | O_TRUNC,
  append: O_WRONLY | O_CREAT | O_APPEND,
};

/** The C library of this process. */
export class Libc {
  readonly #native: NativeInterface;
  readonly #c: Bound<typeof LIBC_SYMBOLS>;

  private constructor(native: NativeInterface, symbols: Bound<typeof LIBC_SYMBOLS>) {
    this.#native = native;
    this.#c = symbols;
  }

  /** @throws {UnsupportedError} on a runtime without FFI. */
  static async load(): Promise<Libc> {
    const native = await loadNativeInterface();
    return new Libc(native, openLibc(native));
  }

  /**
   * A descriptor of the file at `path`, closed on exec.
   *
   * @throws {IoError} with the system's errno.
   */
  openFile(path: string, mode: OpenMode): number {
    checkHostPath("path", path);
    return this.#check("open", path, () => this.#c.open(cString(path), OPEN_FLAGS[mode] | O_CLOEXEC, 0o600));
  }

  /**
   * A descriptor of a stream socket that is connected to the unix socket at `path`, which must be at most 107 bytes long.
   *
   * @throws {IoError} with the system's errno, e.g. `"ECONNREFUSED"`.
   */
  connectUnixSocket(path: string): number {
    checkSocketPath("path", path);
    const fd = this.#check("create a socket", path, () =>
      this.#c.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
    );
    const address = encodeUtf8(`\u0001\0${path}\0`); // sockaddr_un: AF_UNIX as u16 little-endian, then the path
    try {
      this.#check("connect", path, () => this.#c.connect(fd, address, address.length));
    } catch (error) {
      this.closeFile(fd);
      throw error;
    }
    return fd;
  }

  /** Closes a descriptor that came from this class. Errors are of no use to a caller and are left out. */
  closeFile(fd: number): void {
    this.#c.close(fd);
  }

  /** Whether `fd` is an open descriptor of this process. */
  isOpen(fd: number): boolean {
    return this.#c.fcntl(fd, F_GETFD, 0n) !== -1;
  }

  /**
   * Makes a FIFO that only this user may open.
   *
   * @throws {IoError} with the system's errno, e.g. `"EEXIST"`.
   */
  makeFifo(path: string): void {
    checkHostPath("path", path);
    this.#check("make a FIFO", path, () => this.#c.mkfifo(cString(path), 0o600));
  }

  /**
   * Has the kernel send `signal` to this process when the thread that started it ends. A parent that is already gone
   * sends nothing: compare the parent's id afterwards.
   */
  setParentDeathSignal(signal: number): void {
    this.#check("set the parent-death signal", undefined, () =>
      this.#c.prctl(PR_SET_PDEATHSIG, BigInt(signal), 0n, 0n, 0n),
    );
  }

  /**
   * Keeps this process's memory to itself: no core dump is made of it, and no other process of this user reads it. Programs
   * that it starts are not affected.
   *
   * @throws {InternalError} with the system's errno.
   */
  forbidDumps(): void {
    this.#check("forbid core dumps", undefined, () => this.#c.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n));
  }

  #check(action: string, path: string | undefined, call: () => number): number {
    const result = call();
    if (result !== -1) return result;
    const name = errnoName(readErrno(this.#native, this.#c));
    const cause = Object.assign(new Error(name), { code: name });
    throw new IoError(path === undefined ? action : `${action}: ${path}`, path, cause);
  }
}

/** Also used by the KVM trial. */
export function openLibc(native: NativeInterface): Bound<typeof LIBC_SYMBOLS> {
  return openCLibrary(native, LIBC_SYMBOLS);
}
