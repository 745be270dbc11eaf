/** A stream of the runtime over a channel, for a TLS library to run on. @module */
import { Duplex } from "node:stream";
import type { ByteChannel } from "../http/byte_channel.ts";

/**
 * Destroying the stream leaves the channel as it is: an alert may be on its way, and only its owner knows when it is over.
 *
 * @param first What was read from the channel already.
 */
export function duplexOver(channel: ByteChannel, first?: Uint8Array): Duplex {
  let isReading = false;
  let early = first;
  const readOn = async (duplex: Duplex): Promise<void> => {
    isReading = true;
    // Not before the library has begun: on Deno, bytes that are there earlier and end the handshake are an uncaught error.
    if (early !== undefined) await new Promise((resolve) => setImmediate(resolve));
    const piece = early ?? (await channel.read());
    early = undefined;
    isReading = false;
    duplex.push(piece ?? null);
  };
  const duplex = new Duplex({
    allowHalfOpen: true,
    read(): void {
      if (!isReading) readOn(this).catch((error) => this.destroy(error));
    },
    write(bytes: Uint8Array, _encoding, done): void {
      channel.write(bytes).then(() => done(), done);
    },
    final(done): void {
      channel.end().then(() => done(), done);
    },
  });
  duplex.on("error", () => {}); // the library reports it, too
  return duplex;
}
