/**
 * The C library: opening it, and reading errno after a call that failed.
 *
 * @module
 */
import { InternalError, messageOf } from "../base/errors.ts";
import { LIBC_FILES } from "./libc_symbols.ts";
import type { Bound, NativeInterface, SymbolTable } from "./symbol_table.ts";

const EIO = 5;

/** A binding that can read errno. */
export interface WithErrno {
  /** The address of this thread's errno. */
  readonly __errno_location: () => bigint;
}

/** Binds functions of the C library. @throws {InternalError} if it lacks one. */
export function openCLibrary<T extends SymbolTable>(native: NativeInterface, table: T): Bound<T> {
  const failures: Error[] = [];
  for (const path of LIBC_FILES) {
    try {
      return native.open(path, table);
    } catch (error) {
      failures.push(new Error(messageOf(error), { cause: error }));
    }
  }
  throw new InternalError("Cannot open the C library", { cause: new AggregateError(failures) });
}

/** Reads errno. Call it right after the failed call: the runtime makes no other call in between. */
export function readErrno(native: NativeInterface, c: WithErrno): number {
  const bytes = native.readMemory(c.__errno_location(), 4);
  return new DataView(bytes.buffer).getInt32(0, true);
}

/** Makes a function that takes a call's result, and gives `-errno` instead of -1. */
export function resultReader(native: NativeInterface, c: WithErrno): (result: number) => number {
  return (result) => (result === -1 ? -(readErrno(native, c) || EIO) : result); // 0 would be success
}
