/** One end of a connection as the proxy sees it, whatever carries it: a guest's stream, a socket, TLS over either. @module */

/** Bytes both ways. Each direction ends on its own. */
export interface ByteChannel {
  /** The next bytes in whatever pieces they came; `undefined` once the other side has ended. Rejects if it broke off. */
  read(): Promise<Uint8Array | undefined>;
  /** Resolves when there is room for more. Rejects if the connection broke off. The bytes may not be changed later. */
  write(bytes: Uint8Array): Promise<void>;
  /** Ends this side, once what was written is on its way. */
  end(): Promise<void>;
  /** Breaks the connection off, both ways. Calls that wait are rejected. May be called again. */
  destroy(): void;
  /** Whether bytes have arrived that were not read yet, or the other side has ended: it is no longer idle and usable. */
  readonly isDisturbed: boolean;
}
