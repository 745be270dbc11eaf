/**
 * Requests that are sent together: many small ones then cost little more than one, on both sides and on the way.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { FRAME_PAYLOAD_BYTES_MAX } from "./protocol.ts";

/** What is gathered is sent once it fills a frame. */
const BATCH_BYTES = FRAME_PAYLOAD_BYTES_MAX;

/** Gathers what one turn of the event loop sends. */
export class RequestBatch {
  readonly #send: (parts: readonly Uint8Array[]) => Promise<boolean>;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #sent = Promise.withResolvers<boolean>();

  /** @param send Sends bytes, in parts, behind those that it was given before. */
  constructor(send: (parts: readonly Uint8Array[]) => Promise<boolean>) {
    this.#send = send;
  }

  /**
   * Adds a request, in parts, behind all that were added before.
   *
   * @param isUrgent Whether the other side has nothing to do until it comes; otherwise it waits for those of its turn.
   * @returns what `send` says of it.
   */
  write(parts: readonly Uint8Array[], isUrgent: boolean): Promise<boolean> {
    const bytes = parts.reduce((sum, part) => sum + part.length, 0);
    if (this.#bytes + bytes > BATCH_BYTES) this.#flush(); // so that no small rest needs a frame of its own
    const { promise } = this.#sent;
    const isFirst = this.#parts.length === 0;
    this.#parts.push(...parts);
    this.#bytes += bytes;
    if (isUrgent || this.#bytes >= BATCH_BYTES) this.#flush();
    else if (isFirst) setImmediate(() => this.#flush());
    return promise;
  }

  /** Sends what is gathered, if there is anything. */
  #flush(): void {
    if (this.#parts.length === 0) return;
    this.#sent.resolve(this.#send(this.#parts));
    this.#sent = Promise.withResolvers<boolean>();
    this.#parts = [];
    this.#bytes = 0;
  }
}
