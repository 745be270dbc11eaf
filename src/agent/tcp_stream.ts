/**
 * A TCP stream of the agent as Node's stream: for `node:http`, and for joining it to a socket.
 *
 * @module
 */
import { Duplex } from "node:stream";
import type { TcpSession } from "./tcp_session.ts";

/** Reads nothing ahead beyond Node's own buffer. Destroying it with an error breaks the connection off. */
export class TcpStream extends Duplex {
  readonly #session: TcpSession;

  constructor(session: TcpSession) {
    super({ allowHalfOpen: true });
    this.#session = session;
    session.finished.then((error) => {
      if (error !== undefined) this.destroy(error);
    });
  }

  override _read(): void {
    this.#session.output.next().then(
      (data) => this.push(data ?? null),
      (error) => this.destroy(error),
    );
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    // A server may answer without having read everything: what it does not want is dropped.
    this.#session.input.write(chunk).then(() => done(), done);
  }

  override _final(done: () => void): void {
    this.#session.input.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (error !== null) this.#session.abort(error);
    done(error);
  }
}
