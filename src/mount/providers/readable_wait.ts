/**
 * Calls back when a descriptor can be read, without looking at it again and again. A Worker waits for it in the kernel.
 *
 * @module
 */
import type { Inotify } from "../../ffi/inotify.ts";
import type { WaitAnswer, WaitRequest } from "./readable_worker.ts";

/** See the module. */
export class ReadableWait {
  readonly #inotify: Inotify;
  readonly #stopFd: number;
  readonly #worker: Worker;

  /**
   * @param readable is to read all that is there. It is called in turns of this thread's own.
   * @param ended is called once nothing waits for `fd` any more, so that it can be closed.
   */
  constructor(inotify: Inotify, fd: number, readable: () => void, ended: () => void) {
    this.#inotify = inotify;
    this.#stopFd = inotify.openSignal();
    this.#worker = new Worker(new URL("./readable_worker.ts", import.meta.url).href, { type: "module" });
    const wait = () => this.#worker.postMessage({ fd, stopFd: this.#stopFd } satisfies WaitRequest);
    const end = () => {
      this.#worker.terminate();
      inotify.close(this.#stopFd);
      ended();
    };
    this.#worker.onmessage = ({ data }: MessageEvent<WaitAnswer>) => {
      if (data === "stopped") return end();
      readable();
      wait();
    };
    this.#worker.onerror = (event) => {
      event.preventDefault(); // Deno would end the process
      end();
    };
    wait();
  }

  /** Ends the waiting. */
  stop(): void {
    this.#inotify.signal(this.#stopFd);
  }
}
