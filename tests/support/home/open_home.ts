/** A registry in a directory of its own. @module */
import { Registry } from "../../../src/state/state_store.ts";
import { temporaryDirectory } from "../harness.ts";

/** Makes one; it ends with what disposes of it. */
export function openHome(): Disposable & { registry: Registry; path: string } {
  const directory = temporaryDirectory();
  const registry = new Registry(directory.path);
  return {
    registry,
    path: directory.path,
    [Symbol.dispose]() {
      registry.close();
      directory[Symbol.dispose]();
    },
  };
}
