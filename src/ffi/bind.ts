/**
 * Chooses the FFI of the runtime that we run on. Each binder is imported only on its own runtime.
 *
 * @module
 */
import { UnsupportedError } from "../base/errors.ts";
import type { NativeInterface } from "./symbol_table.ts";

/**
 * The foreign function interface of this runtime.
 *
 * @throws {UnsupportedError} on a runtime without one, and on Deno without the FFI permission.
 */
export async function loadNativeInterface(): Promise<NativeInterface> {
  if ("Bun" in globalThis) return (await import("./bind_bun.ts")).bunInterface();
  if ("Deno" in globalThis) return (await import("./bind_deno.ts")).denoInterface();
  throw new UnsupportedError("Cannot call C functions: this runtime has no FFI", {
    hint: "run the VM host process on Bun or Deno",
  });
}
