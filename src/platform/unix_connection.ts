/** A connected unix socket, and a listening one. @module */
import type { ByteConnection } from "./byte_connection.ts";

/** One connected unix socket. */
export interface UnixConnection extends ByteConnection {
  /** Bytes that the peer has not taken yet. */
  readonly bufferedBytes: number;
  /** Stops reading: the peer's bytes wait in the kernel, and then the peer waits. */
  pause(): void;
  resume(): void;
  /** Ends the connection, both ways, once everything that was sent has been taken. */
  end(): void;
}

/** A listening unix socket. */
export interface UnixListener {
  /** Stops listening and removes the socket file. Connections stay. */
  close(): Promise<void>;
}
