/** What those who write archives need of streams and files. @module */
import { open } from "node:fs/promises";

/** Resolves when the stream takes more; or never will, as it is destroyed: then its pipeline says why. */
export function drained(stream: NodeJS.EventEmitter & { readonly destroyed: boolean }): Promise<void> {
  if (stream.destroyed) return Promise.resolve(); // and nothing follows
  return new Promise((resolve, reject) => {
    const settle = (outcome: () => void) => () => {
      for (const [event, listener] of Object.entries(listeners)) stream.removeListener(event, listener);
      outcome();
    };
    const listeners = {
      drain: settle(resolve),
      close: settle(resolve),
      error: (error: unknown) => settle(() => reject(error))(),
    };
    for (const [event, listener] of Object.entries(listeners)) stream.on(event, listener);
  });
}

/** Waits until the disk has all of a file. */
export async function syncFile(path: string): Promise<void> {
  await using handle = await open(path, "r+");
  await handle.sync();
}
