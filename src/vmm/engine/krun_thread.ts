/**
 * The thread that becomes the VM. A thread takes long to start and to load its modules: it is started before it is
 * needed, so that this goes on beside all that comes before the boot.
 *
 * @module
 */

/** A running thread; see `krun_worker.ts` for what it does. */
export interface KrunThread {
  readonly worker: Worker;
  /** Resolves if it could not be started, or died of an error that it did not catch; never rejects. */
  readonly failed: Promise<Error>;
}

let thread: KrunThread | undefined;

/** Starts the thread, unless it runs already. There is one only: libkrun runs one VM in a process. */
export function startKrunThread(): KrunThread {
  thread ??= createThread();
  return thread;
}

function createThread(): KrunThread {
  const worker = new Worker(new URL("./krun_worker.ts", import.meta.url).href, { type: "module" });
  const failed = new Promise<Error>((resolve) => {
    worker.onerror = (event) => resolve(new Error(`The engine's Worker failed: ${event.message}`));
  });
  return { worker, failed };
}
