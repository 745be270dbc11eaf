/**
 * Locks on open files that belong to the descriptor, and not to the process (open file description locks, fcntl(2)): they keep
 * holders within one process apart, and hold against locks of every other program. Calls give what the C function gives, or a
 * negative errno.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { loadNativeInterface } from "./bind.ts";
import { openCLibrary, resultReader } from "./c_library.ts";
import { Open } from "./files.ts";
import type { Bound, NativeInterface, SymbolTable } from "./symbol_table.ts";

/** `l_type` of `struct flock`. */
export const LockType = { shared: 0, exclusive: 1, none: 2 } as const;

const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
/** `struct flock` of 64-bit Linux: type, whence, start, length, pid. */
const FLOCK_BYTES = 32;
const START_OFFSET = 8;
const LENGTH_OFFSET = 16;
/** Operations of flock(2), none of which waits. */
const WHOLE = { shared: 1 | 4, exclusive: 2 | 4, none: 8 } as const;

const SYMBOLS = {
  __errno_location: [[], "address"],
  open: [["cstring", "i32", "u32"], "i32"],
  close: [["i32"], "i32"],
  fcntl: [["i32", "i32", "buffer"], "i32"],
  flock: [["i32", "i32"], "i32"],
} as const satisfies SymbolTable;

const encoder = new TextEncoder();

/** A range of bytes: a length of 0 reaches to the end of the file, even as it grows. */
export interface LockRange {
  readonly start: bigint;
  readonly length: bigint;
}

/** See the module. */
export class FileLocks {
  readonly #c: Bound<typeof SYMBOLS>;
  readonly #result: (result: number) => number;

  private constructor(native: NativeInterface, c: Bound<typeof SYMBOLS>) {
    this.#c = c;
    this.#result = resultReader(native, c);
  }

  /** @throws {UnsupportedError} on a runtime without FFI. */
  static async load(): Promise<FileLocks> {
    const native = await loadNativeInterface();
    return new FileLocks(native, openCLibrary(native, SYMBOLS));
  }

  /** Opens the file of `fd` again, for separate locks. */
  open(fd: number, isWritable: boolean): number {
    const flags = (isWritable ? Open.readWrite : Open.read) | Open.closeOnExec | Open.nonBlocking;
    return this.#result(this.#c.open(encoder.encode(`/proc/self/fd/${fd}\0`), flags, 0));
  }

  close(fd: number): void {
    this.#c.close(fd);
  }

  /** Takes a lock of a range, changes it, or gives it up; fails at once if another holder has one. */
  setRange(fd: number, type: keyof typeof LockType, range: LockRange): number {
    return this.#result(this.#c.fcntl(fd, F_OFD_SETLK, describe(type, range)));
  }

  /** A lock that conflicts with that one, if there is one. */
  testRange(
    fd: number,
    type: keyof typeof LockType,
    range: LockRange,
  ): (LockRange & { readonly isExclusive: boolean }) | number | undefined {
    const bytes = describe(type, range);
    const result = this.#result(this.#c.fcntl(fd, F_OFD_GETLK, bytes));
    const view = new DataView(bytes.buffer);
    const found = view.getInt16(0, true);
    if (result < 0) return result;
    if (found === LockType.none) return undefined;
    return {
      start: view.getBigInt64(START_OFFSET, true),
      length: view.getBigInt64(LENGTH_OFFSET, true),
      isExclusive: found === LockType.exclusive,
    };
  }

  /** Like {@linkcode setRange}, by flock(2), whose locks are independent. */
  setWhole(fd: number, type: keyof typeof WHOLE): number {
    return this.#result(this.#c.flock(fd, WHOLE[type]));
  }
}

function describe(type: keyof typeof LockType, { start, length }: LockRange): Bytes {
  const bytes = new Uint8Array(FLOCK_BYTES);
  const view = new DataView(bytes.buffer);
  view.setInt16(0, LockType[type], true);
  view.setBigInt64(START_OFFSET, start, true);
  view.setBigInt64(LENGTH_OFFSET, length, true);
  return bytes;
}
