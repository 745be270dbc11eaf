/** Back-pressure of a Node.js stream as a promise. @module */

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
