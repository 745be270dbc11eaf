/**
 * C calls on Deno, by `Deno.dlopen`.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { UnsupportedError } from "../base/errors.ts";
import {
  type Bound,
  type Callable,
  type CFunction,
  type CType,
  type NativeInterface,
  requireSymbols,
  type SymbolTable,
} from "./symbol_table.ts";

/** The part of `Deno` in use. Declared here, as the other runtimes' type checkers do not know it. */
interface DenoFfi {
  dlopen(
    path: string,
    functions: Record<string, DenoFunction & { optional: true }>,
  ): { symbols: Record<string, unknown> };
  UnsafePointer: {
    create(address: bigint): DenoPointer | null;
    value(pointer: DenoPointer | null): bigint;
    of(memory: ArrayBuffer): DenoPointer | null;
  };
  UnsafeFnPointer: new (
    pointer: DenoPointer | null,
    definition: DenoFunction,
  ) => {
    call(...values: unknown[]): unknown;
  };
  UnsafePointerView: { getArrayBuffer(pointer: DenoPointer, sizeBytes: number): ArrayBuffer };
}

/** Opaque; made and read only by Deno. */
type DenoPointer = object;

interface DenoFunction {
  parameters: readonly string[];
  result: string;
}

const NATIVE_TYPES: Readonly<Record<CType, string>> = {
  void: "void",
  bool: "bool",
  u8: "u8",
  i32: "i32",
  u32: "u32",
  u64: "u64",
  cstring: "buffer",
  buffer: "buffer",
  address: "u64",
};

// Deno unloads a library that it drops; a thread of libkrun may still run in it.
const opened: unknown[] = [];

/** The interface of this process's Deno. */
export function denoInterface(): NativeInterface {
  const { Deno: deno } = globalThis as unknown as { Deno: DenoFfi };
  if (typeof deno.dlopen !== "function") {
    throw new UnsupportedError("Cannot call C functions: this Deno has no FFI");
  }

  function open<T extends SymbolTable>(path: string, table: T): Bound<T> {
    const library = deno.dlopen(path, denoFunctions(table));
    opened.push(library);
    const { symbols } = library;
    requireSymbols(path, table, (name) => symbols[name] !== null);
    const present = Object.entries(symbols).filter(([, call]) => call !== null);
    return Object.fromEntries(present) as unknown as Bound<T>; // the table made both
  }

  function readMemory(address: bigint, sizeBytes: number): Bytes {
    const pointer = deno.UnsafePointer.create(address);
    if (pointer === null || sizeBytes === 0) return new Uint8Array(0);
    return new Uint8Array(deno.UnsafePointerView.getArrayBuffer(pointer, sizeBytes)).slice();
  }

  function functionAt<F extends CFunction>(address: bigint, row: F): Callable<F> {
    const pointer = deno.UnsafePointer.create(address);
    const made = new deno.UnsafeFnPointer(pointer, denoFunction(row));
    return made.call.bind(made) as Callable<F>; // the row made both
  }

  // Of the buffer, not of the view: V8 keeps small views on its heap, where the collector moves them.
  const addressOf = (bytes: Bytes): bigint =>
    deno.UnsafePointer.value(deno.UnsafePointer.of(bytes.buffer)) + BigInt(bytes.byteOffset);

  return { open, functionAt, readMemory, addressOf };
}

/** All are bound as optional, so that one list names every function that is missing. */
function denoFunctions(table: SymbolTable): Record<string, DenoFunction & { optional: true }> {
  return Object.fromEntries(
    Object.entries(table).map(([name, row]) => [name, { ...denoFunction(row), optional: true }]),
  );
}

function denoFunction([parameters, result]: CFunction): DenoFunction {
  return { parameters: parameters.map((type) => NATIVE_TYPES[type]), result: NATIVE_TYPES[result] };
}
