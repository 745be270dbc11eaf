/** A channel over a guest's connection. @module */
import type { GuestConnection } from "../flow.ts";
import type { ByteChannel } from "./byte_channel.ts";

/** Takes a guest's connection over. */
export class GuestChannel implements ByteChannel {
  readonly #guest: GuestConnection;
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly isDisturbed = false;
  #isDestroyed = false;
  readonly #waiting = new Set<(error: Error) => void>();

  constructor(guest: GuestConnection) {
    this.#guest = guest;
    this.#pieces = guest.readable[Symbol.asyncIterator]();
    this.#writer = guest.writable.getWriter();
    // A failure is told to the next call that reads or writes.
    this.#writer.closed.catch(() => {});
  }

  async read(): Promise<Uint8Array | undefined> {
    const { value, done } = await this.#unlessDestroyed(() => this.#pieces.next());
    return done === true ? undefined : value;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#unlessDestroyed(() => this.#writer.ready);
    // The next write waits for this one, and fails with it.
    this.#writer.write(bytes).catch(() => {});
  }

  async end(): Promise<void> {
    // One that is broken off has ended, too.
    await this.#unlessDestroyed(() => this.#writer.close()).catch(() => {});
  }

  destroy(): void {
    this.#isDestroyed = true;
    this.#guest.reset();
    for (const reject of this.#waiting) reject(new Error("the guest's connection was broken off"));
  }

  /** The result of `act`. Rejects if the connection is destroyed first, which its streams may not report. */
  async #unlessDestroyed<T>(act: () => Promise<T>): Promise<T> {
    if (this.#isDestroyed) throw new Error("the guest's connection was broken off");
    const { promise: destroyed, reject } = Promise.withResolvers<never>();
    this.#waiting.add(reject);
    try {
      return await Promise.race([act(), destroyed]);
    } finally {
      this.#waiting.delete(reject);
    }
  }
}
