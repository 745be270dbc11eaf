/** TLS towards a server, which has to prove who it is. @module */
import type { Socket } from "node:net";
import { isIP } from "node:net";
import { connect, createSecureContext, type SecureContext } from "node:tls";
import { waitFor } from "../../base/wait.ts";
import { DuplexChannel } from "../http/duplex_channel.ts";
import { hostAuthorities } from "./host_trust.ts";
import type { Verification } from "./scope.ts";

const HANDSHAKE_MS_MAX = 15_000;
/** Most sets of authorities, of a megabyte each: one for each scope that has its own. */
const CONTEXTS_MAX = 16;

/** What a server must prove to be. */
export interface ClientSideOptions {
  /** The name or address that it has to prove. */
  readonly host: string;
  readonly verification: Verification;
  readonly alpnProtocols: readonly string[];
}

/** A connection to a server that has proved who it is, where it had to. */
export interface SecureConnection {
  readonly channel: DuplexChannel;
  /** What was agreed on by ALPN. */
  readonly alpnProtocol: string | undefined;
}

/** Connects to servers by TLS, with the authorities of this machine and given ones. */
export class ClientSide {
  readonly #contexts = new Map<string, SecureContext>();
  #hostAuthorities: readonly string[] | undefined;

  /**
   * Puts TLS over a socket.
   *
   * @throws the runtime's error with the code that says why, e.g. `CERT_HAS_EXPIRED`; or a `TimeoutError`.
   */
  async connect(socket: Socket, options: ClientSideOptions): Promise<SecureConnection> {
    const { host, verification, alpnProtocols } = options;
    const { isVerified, givenAuthorities } = verification;
    const secure = connect({
      socket,
      host,
      ...(isIP(host) === 0 ? { servername: host } : {}),
      ...(isVerified ? { secureContext: this.#contextFor(givenAuthorities) } : {}),
      rejectUnauthorized: isVerified,
      ...(alpnProtocols.length > 0 ? { ALPNProtocols: [...alpnProtocols] } : {}),
    });
    const ready = new Promise<void>((resolve, reject) => {
      secure.once("secureConnect", resolve);
      secure.once("error", reject);
      secure.once("close", () => reject(new Error("the server ended the connection in its handshake")));
    });
    const channel = new DuplexChannel(secure);
    try {
      await waitFor(ready, { action: "waiting for the server's TLS handshake", timeoutMs: HANDSHAKE_MS_MAX });
    } catch (error) {
      channel.destroy();
      socket.destroy();
      throw error;
    }
    return { channel, alpnProtocol: secure.alpnProtocol || undefined };
  }

  /** Parsing the authorities of a machine takes 10 ms, so contexts are kept. */
  #contextFor(givenAuthorities: readonly string[]): SecureContext {
    const key = givenAuthorities.join("");
    const kept = this.#contexts.get(key);
    if (kept !== undefined) return kept;
    this.#hostAuthorities ??= hostAuthorities();
    const context = createSecureContext({ ca: [...this.#hostAuthorities, ...givenAuthorities] });
    if (this.#contexts.size < CONTEXTS_MAX) this.#contexts.set(key, context);
    return context;
  }
}
