/**
 * Progress events of a pull. Event kinds have the official SDK's names; kinds for work that does not happen here never
 * occur.
 *
 * @module
 */

/** Progress event of a pull. Byte counts are absolute, so a missed event does no harm. */
export type PullProgress =
  | { readonly kind: "resolving"; readonly reference: string }
  | {
      readonly kind: "resolved";
      readonly reference: string;
      /** Digest of the manifest; for an image made from a plain directory or tar, the digest of its content. */
      readonly manifestDigest: string;
      readonly layerCount: number;
      /** Compressed size of all layers, including layers that are already in the store. */
      readonly totalDownloadBytes: number;
    }
  | {
      readonly kind: "layerDownloadProgress";
      readonly layerIndex: number;
      readonly digest: string;
      readonly downloadedBytes: number;
      readonly totalBytes: number;
    }
  | {
      readonly kind: "layerDownloadComplete";
      readonly layerIndex: number;
      readonly digest: string;
      readonly downloadedBytes: number;
    }
  | { readonly kind: "layerMaterializeStarted"; readonly layerIndex: number; readonly diffId: string }
  | {
      readonly kind: "layerMaterializeProgress";
      readonly layerIndex: number;
      /** Compressed bytes unpacked so far. */
      readonly bytesRead: number;
      readonly totalBytes: number;
    }
  | { readonly kind: "layerMaterializeComplete"; readonly layerIndex: number; readonly diffId: string }
  | { readonly kind: "stitchWritingFsmeta" }
  /** `sizeBytes` is the size of the finished disk. */
  | { readonly kind: "stitchComplete"; readonly sizeBytes: number }
  | { readonly kind: "complete"; readonly reference: string; readonly layerCount: number };

/** Receives events as they happen. Return quickly: the pull waits for the listener. */
export type PullProgressListener = (event: PullProgress) => void;

/** Minimum number of bytes between two progress events of one layer. */
export const PROGRESS_STEP_BYTES = 256 * 1024;

/**
 * Passes `source` through and reports its progress: at the start, every {@linkcode PROGRESS_STEP_BYTES}, and at the
 * end.
 */
export async function* countBytes(
  source: AsyncIterable<Uint8Array>,
  report: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  let total = 0;
  let reported = 0;
  report(0);
  for await (const chunk of source) {
    total += chunk.length;
    if (total - reported >= PROGRESS_STEP_BYTES) {
      reported = total;
      report(total);
    }
    yield chunk;
  }
  if (total !== reported) report(total);
}

/** Stream of progress events: iterate over it, or call `recv()` for one event at a time. */
export type PullProgressEvents = ReadableStream<PullProgress> & {
  /** Returns the next event, or `null` when the pull has ended. */
  recv(): Promise<PullProgress | null>;
};

async function receive(stream: ReadableStream<PullProgress>): Promise<PullProgress | null> {
  const reader = stream.getReader();
  try {
    return (await reader.read()).value ?? null;
  } finally {
    reader.releaseLock();
  }
}

/**
 * Turns events into a stream. Holds at most one pending event per kind and layer: a newer event replaces an unread one
 * and takes the newer one's position.
 */
export class PullProgressStream {
  /** The events; ends after {@linkcode PullProgressStream.close}. */
  readonly readable: PullProgressEvents;
  readonly #pending = new Map<string, PullProgress>();
  #closed = false;
  #wake: (() => void) | undefined;

  constructor() {
    const stream = new ReadableStream<PullProgress>(
      {
        pull: async (controller) => {
          while (this.#pending.size === 0 && !this.#closed) {
            await new Promise<void>((resolve) => {
              this.#wake = resolve;
            });
          }
          const next = this.#pending.entries().next();
          if (next.done) return controller.close();
          this.#pending.delete(next.value[0]);
          controller.enqueue(next.value[1]);
        },
        cancel: () => this.close(),
      },
      { highWaterMark: 0 },
    );
    this.readable = Object.assign(stream, { recv: () => receive(stream) });
  }

  /** Listener to pass to a pull. */
  readonly push: PullProgressListener = (event) => {
    if (this.#closed) return;
    const key = "layerIndex" in event ? `${event.kind} ${event.layerIndex}` : event.kind;
    this.#pending.delete(key);
    this.#pending.set(key, event);
    this.#wake?.();
  };

  /** Ends the stream once the pending events have been read. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }
}
