/**
 * C calls on Bun, by `bun:ffi`.
 *
 * `dlopen()` of `bun:ffi` fails as a whole when one function is missing, and hides the loader's message. So the library
 * is loaded and searched with the C library's own `dlopen` and `dlsym`, and only the functions found are linked.
 *
 * @module
 */
import { type Bytes, decodeUtf8 } from "../base/bytes.ts";
import { cString } from "./c_memory.ts";
import { LIBC_FILES } from "./libc_symbols.ts";
import {
  type Bound,
  type Callable,
  type CFunction,
  type CType,
  type NativeInterface,
  requireSymbols,
  type SymbolTable,
} from "./symbol_table.ts";

/** The part of `bun:ffi` in use. Declared here, as Deno's type checker does not know the module. */
interface BunFfi {
  dlopen(path: string, functions: Record<string, BunFunction>): { symbols: Record<string, unknown> };
  linkSymbols(functions: Record<string, BunFunction & { ptr: number }>): { symbols: Record<string, unknown> };
  ptr(memory: ArrayBuffer): number;
  toArrayBuffer(address: number, offset: number, sizeBytes: number): ArrayBuffer;
}

interface BunFunction {
  args: readonly string[];
  returns: string;
}

const LOADER_SYMBOLS = {
  dlopen: [["cstring", "i32"], "address"],
  dlsym: [["address", "cstring"], "address"],
  dlerror: [[], "address"],
  strlen: [["address"], "u64"],
} as const satisfies SymbolTable;

const RTLD_NOW = 2;

const NATIVE_TYPES: Readonly<Record<CType, string>> = {
  void: "void",
  bool: "bool",
  u8: "u8",
  i32: "i32",
  u32: "u32",
  u64: "u64",
  cstring: "ptr", // Bun's own "cstring" copies results into strings; ours are arguments only
  buffer: "ptr",
  address: "u64",
};

/** The interface of this process's Bun. */
export async function bunInterface(): Promise<NativeInterface> {
  const specifier = "bun:ffi"; // a variable, so that no other runtime's tools try to resolve it
  const ffi: BunFfi = await import(specifier);
  const loader = openLoader(ffi);

  const readMemory = (address: bigint, sizeBytes: number): Bytes =>
    sizeBytes === 0
      ? new Uint8Array(0)
      : new Uint8Array(ffi.toArrayBuffer(Number(address), 0, sizeBytes)).slice();

  const loaderMessage = (): string => {
    const message = loader.dlerror();
    return message === 0n
      ? "unknown loader error"
      : decodeUtf8(readMemory(message, Number(loader.strlen(message))));
  };

  function open<T extends SymbolTable>(path: string, table: T): Bound<T> {
    const library = loader.dlopen(cString(path), RTLD_NOW);
    if (library === 0n) throw new Error(loaderMessage());
    const addresses = new Map(Object.keys(table).map((name) => [name, loader.dlsym(library, cString(name))]));
    requireSymbols(path, table, (name) => addresses.get(name) !== 0n);
    const present = Object.entries(table)
      .map(([name, row]) => [name, { ...bunFunction(row), ptr: Number(addresses.get(name)) }] as const)
      .filter(([, { ptr }]) => ptr !== 0);
    return ffi.linkSymbols(Object.fromEntries(present)).symbols as unknown as Bound<T>; // the table made both
  }

  function functionAt<F extends CFunction>(address: bigint, row: F): Callable<F> {
    const { symbols } = ffi.linkSymbols({ call: { ...bunFunction(row), ptr: Number(address) } });
    return symbols["call"] as Callable<F>; // the row made both
  }

  // Of the buffer, not of the view: JavaScriptCore moves a small view's bytes when its buffer is asked for.
  const addressOf = (bytes: Bytes): bigint => BigInt(ffi.ptr(bytes.buffer)) + BigInt(bytes.byteOffset);

  return { open, functionAt, readMemory, addressOf };
}

function openLoader(ffi: BunFfi): Bound<typeof LOADER_SYMBOLS> {
  const functions = Object.fromEntries(
    Object.entries(LOADER_SYMBOLS).map(([name, row]) => [name, bunFunction(row)]),
  );
  const failures: unknown[] = [];
  for (const path of LIBC_FILES) {
    try {
      return ffi.dlopen(path, functions).symbols as unknown as Bound<typeof LOADER_SYMBOLS>;
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `Cannot open the C library: tried ${LIBC_FILES.join(", ")}`);
}

function bunFunction([parameters, result]: SymbolTable[string]): BunFunction {
  return { args: parameters.map((type) => NATIVE_TYPES[type]), returns: NATIVE_TYPES[result] };
}
