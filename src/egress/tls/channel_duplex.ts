/** A stream of the runtime over a channel, for a TLS library to run on. @module */
import { Duplex } from "node:stream";
import type { ByteChannel } from "../http/byte_channel.ts";

/** @param first What was read from the channel already. */
export function duplexOver(channel: ByteChannel, first: Uint8Array): Duplex {
  let isReading = false;
  let early: Uint8Array | undefined = first;
  const readOn = async (duplex: Duplex): Promise<void> => {
    isReading = true;
    const piece = early ?? (await channel.read());
    early = undefined;
    isReading = false;
    duplex.push(piece ?? null);
  };
  return new Duplex({
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
    destroy(error, done): void {
      channel.destroy();
      done(error);
    },
  });
}
