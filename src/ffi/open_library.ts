/** Loads a library that the search found. @module */
import { messageOf } from "../base/errors.ts";
import type { LibkrunfwNotFoundError, LibkrunNotFoundError } from "./errors.ts";
import { type LibraryLocation, loadFailureHint } from "./library_search.ts";
import type { Bound, NativeInterface, SymbolTable } from "./symbol_table.ts";

/** Binds a library that was found; what the loader has against it becomes an error that says how to mend it. */
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
