/**
 * Counts and limits what a guest's connection carries.
 *
 * @module
 */
import type { Bytes } from "../../base/bytes.ts";
import type { GuestConnection } from "../flow.ts";
import type { RateLimits } from "./rate_limit.ts";

/** What has passed. */
export interface Meter {
  /** To the guest. */
  bytesIn: number;
  /** From the guest. */
  bytesOut: number;
}

/** What applies to the bytes of one flow. */
export interface Metering {
  readonly meter: Meter;
  readonly limits: () => RateLimits;
  /** Ends the waits for a limit. */
  readonly signal: AbortSignal;
}

/** The same connection, with each chunk counted, and held until it may pass. Holds one chunk of each direction at most. */
export function meteredConnection(guest: GuestConnection, metering: Metering): GuestConnection {
  return {
    readable: meteredReadable(guest.readable, metering),
    writable: meteredWritable(guest.writable, metering),
    closed: guest.closed,
    reset: () => guest.reset(),
  };
}

function meteredReadable(readable: ReadableStream<Bytes>, { meter, limits, signal }: Metering) {
  const reader = readable.getReader();
  return new ReadableStream<Bytes>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        await limits().egress?.pass(value.length, signal);
        meter.bytesOut += value.length;
        controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function meteredWritable(writable: WritableStream<Uint8Array>, { meter, limits, signal }: Metering) {
  const writer = writable.getWriter();
  return new WritableStream<Uint8Array>({
    async write(chunk) {
      await limits().ingress?.pass(chunk.length, signal);
      await writer.write(chunk);
      meter.bytesIn += chunk.length;
    },
    close: () => writer.close(),
    abort: (reason) => writer.abort(reason),
  });
}
