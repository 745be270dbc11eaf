/** A connection that carries bytes both ways, whatever it runs over. @module */

/**
 * What the agent's frames need of a connection: a unix socket on this machine, a WebSocket or a message bus to another.
 * There is no pause, since the frames' own credit windows bound what arrives.
 */
export interface ByteConnection {
  /** Resolves when the connection has ended, for whatever reason; never rejects. */
  readonly closed: Promise<void>;
  /** Calls `handle` for each chunk, from the first byte on; until then they wait. To be set once. */
  onData(handle: (chunk: Uint8Array) => void): void;
  /** Sends in order, however chunks are cut. Bytes that the peer has not taken yet are queued: do not change them. */
  send(bytes: Uint8Array): void;
  /** Resolves when everything sent so far is on its way, or the connection has ended. */
  drained(): Promise<void>;
  /** Ends the connection now. */
  destroy(): void;
  /** While referenced (the start), an open connection keeps the process alive. */
  setReferenced(referenced: boolean): void;
}
