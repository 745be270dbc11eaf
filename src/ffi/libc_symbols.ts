/**
 * The C library's functions that have no counterpart in `node:*`: real file descriptors for libkrun, and the KVM trial.
 * A failing call returns -1; `libc.ts` reads errno.
 *
 * The types are those of 64-bit Linux, where `int` arguments of variadic functions are passed like any others.
 *
 * @module
 */
import type { SymbolTable } from "./symbol_table.ts";

/** Files of the C library: glibc, musl. Since glibc 2.34 each also holds the loader's functions. */
export const LIBC_FILES: readonly string[] = [
  "libc.so.6",
  `libc.musl-${process.arch === "arm64" ? "aarch64" : "x86_64"}.so.1`,
];

export const LIBC_SYMBOLS = {
  /** The address of this thread's errno. */
  __errno_location: [[], "address"],
  /** path, flags, mode → fd. */
  open: [["cstring", "i32", "u32"], "i32"],
  close: [["i32"], "i32"],
  /** fd, command, argument. */
  fcntl: [["i32", "i32", "u64"], "i32"],
  /** domain, type, protocol → fd. */
  socket: [["i32", "i32", "i32"], "i32"],
  /** fd, address, bytes of the address. */
  connect: [["i32", "buffer", "u32"], "i32"],
  /** path, mode. */
  mkfifo: [["cstring", "u32"], "i32"],
  /** option and its four arguments. */
  prctl: [["i32", "u64", "u64", "u64", "u64"], "i32"],
  /** fd, request, argument: an integer or an address. */
  ioctl: [["i32", "u64", "u64"], "i32"],
  /** name, flags → fd of a new file in memory. */
  memfd_create: [["cstring", "u32"], "i32"],
  /** fd, bytes, their number → bytes written. */
  write: [["i32", "buffer", "u64"], "i32"],
  /** address or 0, bytes, protection, flags, fd, offset → address, all ones on failure. */
  mmap: [["address", "u64", "i32", "i32", "i32", "u64"], "address"],
} as const satisfies SymbolTable;
