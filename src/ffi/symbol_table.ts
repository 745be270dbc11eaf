/**
 * How this room writes a C library's functions down, once, naming no runtime; and the typed functions that binding such
 * a table gives. The binders (`bind_bun.ts`, `bind_deno.ts`) turn a table into calls.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";

/**
 * A C type of an argument or a result.
 *
 * - `cstring`: `const char*`, NUL-terminated bytes made by `cString()`. Never null.
 * - `buffer`: a pointer to memory that JavaScript owns, for the time of the call; `null` is NULL.
 * - `address`: any other pointer or pointer-sized integer, as a number of 64 bits.
 */
export type CType = "void" | "bool" | "u8" | "i32" | "u32" | "u64" | "cstring" | "buffer" | "address";

/** Parameters, result, and whether a library may lack the function. */
export type CFunction =
  | readonly [parameters: readonly CType[], result: CType]
  | readonly [parameters: readonly CType[], result: CType, presence: "optional"];

/** A library's functions by name. */
export type SymbolTable = Readonly<Record<string, CFunction>>;

interface JavaScriptTypes {
  void: undefined;
  bool: boolean;
  u8: number;
  i32: number;
  u32: number;
  u64: bigint;
  cstring: Bytes;
  buffer: Bytes | null;
  address: bigint;
}

type Arguments<P extends readonly CType[]> = { -readonly [I in keyof P]: JavaScriptTypes[P[I]] };
/** A function of that row of a table, ready to be called. */
export type Callable<F extends CFunction> = (...values: Arguments<F[0]>) => JavaScriptTypes[F[1]];

/** A table's functions, ready to be called. An optional one that the library lacks is `undefined`. */
export type Bound<T extends SymbolTable> = {
  readonly [K in keyof T]: T[K] extends readonly [unknown, unknown, "optional"]
    ? Callable<T[K]> | undefined
    : Callable<T[K]>;
};

/** What a runtime's FFI gives. Libraries stay loaded for the life of the process. */
export interface NativeInterface {
  /**
   * Loads the library at `path` (or finds a name without a slash in the system's loader path) and binds `table`.
   *
   * @throws {Error} with the loader's own message, or naming the required functions that are missing.
   */
  open<T extends SymbolTable>(path: string, table: T): Bound<T>;
  /** The function whose code is at `address`. */
  functionAt<F extends CFunction>(address: bigint, row: F): Callable<F>;
  /** Where `bytes` are in memory. Good only while the caller keeps `bytes` alive. */
  addressOf(bytes: Bytes): bigint;
  /** A copy of `sizeBytes` bytes at `address`, which must be readable: the process dies otherwise. */
  readMemory(address: bigint, sizeBytes: number): Bytes;
}

/** Refuses a binding that lacks a function that is not optional. */
export function requireSymbols(path: string, table: SymbolTable, isPresent: (name: string) => boolean): void {
  const missing = Object.entries(table)
    .filter(([name, [, , presence]]) => presence !== "optional" && !isPresent(name))
    .map(([name]) => name);
  if (missing.length > 0) throw new Error(`${path} lacks ${missing.join(", ")}`);
}
