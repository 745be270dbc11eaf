/** The backend that `Sandbox`, `Snapshot` and the rest use. @module */
import type { Backend } from "./backend.ts";
import { localBackend } from "./local/local_backend.ts";

let chosen: Backend | undefined;

/** The backend in use: the home of the environment on this machine, unless another backend was chosen. */
export function defaultBackend(): Backend {
  return chosen ?? localBackend();
}

/** Uses `backend` until the result is disposed of. A sandbox keeps the backend that it came from. */
export function useBackend(backend: Backend): Disposable {
  const before = chosen;
  chosen = backend;
  return {
    [Symbol.dispose]: () => {
      chosen = before;
    },
  };
}
