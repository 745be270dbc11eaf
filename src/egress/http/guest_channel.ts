/** A channel over a guest's connection. @module */
import type { GuestConnection } from "../flow.ts";
import type { ByteChannel } from "./byte_channel.ts";

/** Takes a guest's connection over. */
export class GuestChannel implements ByteChannel {
  readonly #guest: GuestConnection;
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly isDisturbed = false;

  constructor(guest: GuestConnection) {
    this.#guest = guest;
    this.#pieces = guest.readable[Symbol.asyncIterator]();
    this.#writer = guest.writable.getWriter();
    // A failure is told to the next call that reads or writes.
    this.#writer.closed.catch(() => {});
  }

  async read(): Promise<Uint8Array | undefined> {
    const { value, done } = await this.#pieces.next();
    return done === true ? undefined : value;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#writer.ready;
    // The next write waits for this one, and fails with it.
    this.#writer.write(bytes).catch(() => {});
  }

  async end(): Promise<void> {
    await this.#writer.close().catch(() => {}); // broken off, which is an end, too
  }

  destroy(): void {
    this.#guest.reset();
  }
}
