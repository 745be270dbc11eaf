/**
 * What a pull tells while it works. The kinds' names are those of the known SDK, of which only the ones that describe
 * work done here occur.
 *
 * @module
 */

/** One event of a pull. Byte counts are absolute, so that a missed event does no harm. */
export type PullProgress =
  | { readonly kind: "resolving"; readonly reference: string }
  | {
      readonly kind: "resolved";
      readonly reference: string;
      /** What the image is known by; for one made from a plain directory or tar, the digest of that. */
      readonly manifestDigest: string;
      readonly layerCount: number;
      /** Compressed size of all layers, those included that are here already. */
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
      /** Compressed bytes that are unpacked so far. */
      readonly bytesRead: number;
      readonly totalBytes: number;
    }
  | { readonly kind: "layerMaterializeComplete"; readonly layerIndex: number; readonly diffId: string }
  | { readonly kind: "stitchWritingFsmeta" }
  /** `sizeBytes` is the disk's. */
  | { readonly kind: "stitchComplete"; readonly sizeBytes: number }
  | { readonly kind: "complete"; readonly reference: string; readonly layerCount: number };

/** Takes events as they happen. It must return quickly: the pull waits for it. */
export type PullProgressListener = (event: PullProgress) => void;

/** Least bytes between two progress events of one layer. */
export const PROGRESS_STEP_BYTES = 256 * 1024;

/**
 * Passes `source` on and reports how far it is: at its start, then each {@linkcode PROGRESS_STEP_BYTES}, and at its end.
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

/** Events as a stream: iterate over it, or ask for one at a time. */
export type PullProgressEvents = ReadableStream<PullProgress> & {
  /** The next event; `null` when the pull has ended. */
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
 * Events as a stream for whoever wants to iterate. It never holds more than one pending event for each kind and layer:
 * a newer one takes the place of one that nobody has read yet, at the newer one's place in the order.
 */
export class PullProgressStream {
  /** Ends when {@linkcode PullProgressStream.close} is called. */
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

  /** A listener to hand to a pull. */
  readonly push: PullProgressListener = (event) => {
    if (this.#closed) return;
    const key = "layerIndex" in event ? `${event.kind} ${event.layerIndex}` : event.kind;
    this.#pending.delete(key);
    this.#pending.set(key, event);
    this.#wake?.();
  };

  /** No more events: what is pending is still read. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }
}
