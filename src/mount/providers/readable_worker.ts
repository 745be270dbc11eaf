/**
 * The Worker of a `ReadableWait`: it does nothing but wait in the kernel until a descriptor can be read.
 *
 * @module
 */
import { Inotify } from "../../ffi/inotify.ts";

/** To the Worker: wait once, for both. Descriptors are the process's. */
export interface WaitRequest {
  readonly fd: number;
  readonly stopFd: number;
}

/** From the Worker: `fd` can be read, or it was told to stop, and has. */
export type WaitAnswer = "readable" | "stopped";

interface WorkerScope {
  onmessage: ((event: MessageEvent<WaitRequest>) => void) | null;
  postMessage(message: WaitAnswer): void;
}
const scope = globalThis as unknown as WorkerScope;
const loading = Inotify.load();

scope.onmessage = async ({ data: { fd, stopFd } }) => {
  const inotify = await loading;
  const [, isStopped] = inotify.waitReadable([fd, stopFd]);
  scope.postMessage(isStopped === true ? "stopped" : "readable");
};
