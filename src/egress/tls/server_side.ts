/** TLS towards a guest, in place of the server that it wants. @module */
import { type SecureContext, TLSSocket } from "node:tls";
import { waitFor } from "../../base/wait.ts";
import type { ByteChannel } from "../http/byte_channel.ts";
import { DuplexChannel } from "../http/duplex_channel.ts";
import { endGracefully } from "../http/local_reply.ts";
import { duplexOver } from "./channel_duplex.ts";

/** A client that has sent its hello answers at once. */
const HANDSHAKE_MS_MAX = 15_000;

/** What to present to a guest. */
export interface ServerSideOptions {
  /** The certificate of the host that the guest asked for. */
  readonly context: SecureContext;
  /** Protocols to agree on, of which the guest offers one; empty if it offers none. */
  readonly alpnProtocols: readonly string[];
  /** What was read from the guest: its hello. */
  readonly first: Uint8Array;
}

/** A fatal alert in a record of its own (RFC 8446 section 6): `no_application_protocol`. */
const NO_APPLICATION_PROTOCOL = Uint8Array.of(0x15, 3, 3, 0, 2, 2, 120);

/** Refuses a guest that offers no protocol that can be agreed on. Deno's TLS would hang up without an alert. */
export async function refuseProtocols(guest: ByteChannel): Promise<void> {
  await guest.write(NO_APPLICATION_PROTOCOL);
  await endGracefully(guest);
}

/**
 * Completes a handshake with a guest. The runtime's TLS runs over a stream, on Bun and on Deno; only the choice of the
 * certificate by name is not left to it.
 *
 * @throws the runtime's error, or a `TimeoutError`. The guest has got an alert then, or its connection is broken off.
 */
export async function acceptTls(guest: ByteChannel, options: ServerSideOptions): Promise<ByteChannel> {
  const { context, alpnProtocols, first } = options;
  const duplex = duplexOver(guest, first);
  const socket = new TLSSocket(duplex, {
    isServer: true,
    secureContext: context,
    ...(alpnProtocols.length > 0 ? { ALPNProtocols: [...alpnProtocols] } : {}),
  });
  const ready = new Promise<void>((resolve, reject) => {
    socket.once("secure", resolve);
    socket.once("error", reject);
    const onEnd = () => reject(new Error("the guest ended the connection in its handshake"));
    socket.once("close", onEnd);
    duplex.once("end", onEnd);
  });
  // From now on: what the guest sends right behind its handshake must not be lost.
  const channel = new DuplexChannel(socket);
  try {
    await waitFor(ready, { action: "waiting for the guest's TLS handshake", timeoutMs: HANDSHAKE_MS_MAX });
    return channel;
  } catch (error) {
    channel.destroy();
    await endGracefully(guest); // the alert says what is wrong
    throw error;
  }
}
