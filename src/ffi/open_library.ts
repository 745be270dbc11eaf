/** Loads a library that the search found. @module */
import { messageOf } from "../base/errors.ts";
import type { LibkrunfwNotFoundError, LibkrunNotFoundError } from "./errors.ts";
import { type LibraryLocation, loadFailureHint } from "./library_search.ts";
import type { Bound, NativeInterface, SymbolTable } from "./symbol_table.ts";

/** Loads a library that was found and binds its functions. @throws {Error} of the given class, with a hint. */
export function openLibrary<T extends SymbolTable>(
  native: NativeInterface,
  { path, searched }: LibraryLocation,
  table: T,
  NotFoundError: typeof LibkrunNotFoundError | typeof LibkrunfwNotFoundError,
): Bound<T> {
  try {
    return native.open(path, table);
  } catch (cause) {
    const reason = messageOf(cause);
    throw new NotFoundError({ searched, path, reason, hint: loadFailureHint(reason), cause });
  }
}
