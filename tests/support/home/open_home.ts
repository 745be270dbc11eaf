/** A state database in a directory of its own. @module */
import { StateStore } from "../../../src/state/state_store.ts";
import { temporaryDirectory } from "../harness.ts";

/** Makes one; it ends with what disposes of it. */
export function openHome(): Disposable & { state: StateStore; path: string } {
  const directory = temporaryDirectory();
  const state = new StateStore(directory.path);
  return {
    state,
    path: directory.path,
    [Symbol.dispose]() {
      state.close();
      directory[Symbol.dispose]();
    },
  };
}
