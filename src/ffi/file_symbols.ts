/**
 * The C library's functions that work on files by descriptor. A failing call returns -1; `files.ts` reads errno.
 *
 * The types are those of 64-bit Linux, where `int` arguments of variadic functions are passed like any others.
 *
 * @module
 */
import type { SymbolTable } from "./symbol_table.ts";

export const FILE_SYMBOLS = {
  /** The address of this thread's errno. */
  __errno_location: [[], "address"],
  /** openat2(2), which has no function of its own: number, directory, path, how, its bytes → fd. */
  syscall: [["u64", "i32", "cstring", "buffer", "u64"], "i32"],
  /** number, handler → the handler before. */
  signal: [["i32", "address"], "address"],
  openat: [["i32", "cstring", "i32", "u32"], "i32"],
  close: [["i32"], "i32"],
  /** directory, path, flags, mask, result. */
  statx: [["i32", "cstring", "i32", "u32", "buffer"], "i32"],
  /** fd, room, bytes, offset → bytes read. */
  pread: [["i32", "buffer", "u64", "u64"], "i32"],
  pwrite: [["i32", "buffer", "u64", "u64"], "i32"],
  /** fd, room, bytes → bytes read. */
  getdents64: [["i32", "buffer", "u64"], "i32"],
  ftruncate: [["i32", "u64"], "i32"],
  fsync: [["i32"], "i32"],
  fdatasync: [["i32"], "i32"],
  /** fd, mode, offset, bytes. */
  fallocate: [["i32", "i32", "u64", "u64"], "i32"],
  /** fd, offset, whence → offset, all ones on failure. */
  lseek: [["i32", "u64", "i32"], "u64"],
  fstatfs: [["i32", "buffer"], "i32"],
  mkdirat: [["i32", "cstring", "u32"], "i32"],
  mknodat: [["i32", "cstring", "u32", "u64"], "i32"],
  unlinkat: [["i32", "cstring", "i32"], "i32"],
  renameat2: [["i32", "cstring", "i32", "cstring", "u32"], "i32"],
  symlinkat: [["cstring", "i32", "cstring"], "i32"],
  linkat: [["i32", "cstring", "i32", "cstring", "i32"], "i32"],
  /** directory, path, room, its bytes → bytes. */
  readlinkat: [["i32", "cstring", "buffer", "u64"], "i32"],
  fchmodat: [["i32", "cstring", "u32", "i32"], "i32"],
  fchmod: [["i32", "u32"], "i32"],
  fchownat: [["i32", "cstring", "u32", "u32", "i32"], "i32"],
  /** directory, path, two struct timespec, flags. */
  utimensat: [["i32", "cstring", "buffer", "i32"], "i32"],
  getxattr: [["cstring", "cstring", "buffer", "u64"], "i32"],
  setxattr: [["cstring", "cstring", "buffer", "u64", "i32"], "i32"],
  listxattr: [["cstring", "buffer", "u64"], "i32"],
  removexattr: [["cstring", "cstring"], "i32"],
} as const satisfies SymbolTable;
