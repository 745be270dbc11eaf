/** A connected unix socket, and a listening one. @module */

/** One connected unix socket. */
export interface UnixConnection {
  /** Resolves when the connection has ended, for whatever reason; never rejects. */
  readonly closed: Promise<void>;
  /** Bytes that the peer has not taken yet. */
  readonly bufferedBytes: number;
  /** Calls `handle` for each chunk, from the first byte on; until then they wait. To be set once. */
  onData(handle: (chunk: Uint8Array) => void): void;
  /** Sends in order. What the peer does not take at once waits in {@linkcode bufferedBytes}, and is not to be changed. */
  send(bytes: Uint8Array): void;
  /** Resolves when everything that was sent is on its way, or the connection has ended. */
  drained(): Promise<void>;
  /** Stops reading: the peer's bytes wait in the kernel, and then the peer waits. */
  pause(): void;
  resume(): void;
  /** Ends the connection, both ways, once everything that was sent has been taken. */
  end(): void;
  /** Ends the connection now. */
  destroy(): void;
  /** While referenced (the start), an open connection keeps the process alive. */
  setReferenced(referenced: boolean): void;
}

/** A listening unix socket. */
export interface UnixListener {
  /** Stops listening and removes the socket file. Connections stay. */
  close(): Promise<void>;
}
