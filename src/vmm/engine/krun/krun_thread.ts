/**
 * The thread that becomes the VM. Starting it, and loading its modules and the libraries, takes long, so it is started
 * early and loads while this process prepares the boot.
 *
 * @module
 */
import { InternalError } from "../../../base/errors.ts";
import type { EngineStart } from "../engine.ts";
import type { KrunWorkerRequest } from "./krun_messages.ts";

/** A running thread; see `krun_worker.ts` for what it does. */
export interface KrunThread {
  readonly worker: Worker;
  /** Resolves if it could not be started, or died of an error that it did not catch; never rejects. */
  readonly failed: Promise<Error>;
}

let thread: KrunThread | undefined;

/** Starts the thread, once: libkrun runs one VM in a process. */
export function startKrunThread({ enginePath, libkrunfwPath }: EngineStart): void {
  const worker = new Worker(new URL("./krun_worker.ts", import.meta.url).href, { type: "module" });
  const failed = new Promise<Error>((resolve) => {
    worker.onerror = (event) => {
      event.preventDefault(); // Deno would end the process
      resolve(new Error(`The engine's Worker failed: ${event.message}`));
    };
  });
  const libraries = { libkrunPath: enginePath, libkrunfwPath };
  worker.postMessage({ type: "load", libraries } satisfies KrunWorkerRequest);
  thread = { worker, failed };
}

/** The thread that was started. */
export function krunThread(): KrunThread {
  if (thread === undefined) throw new InternalError("krun's thread was not started");
  return thread;
}
