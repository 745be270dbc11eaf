/**
 * A TCP connection of the guest's as Web Streams: see `GuestConnection`.
 *
 * @module
 */
import { ConnectFailedError, ProtocolError } from "../../agent/errors.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import type { TcpSession } from "../../agent/tcp_session.ts";
import type { Bytes } from "../../base/bytes.ts";
import type { FlowRequest, GuestConnection } from "../flow.ts";

/** A connection over a session that is connected. */
export class TcpFlow implements GuestConnection {
  readonly readable: ReadableStream<Bytes>;
  readonly writable: WritableStream<Uint8Array>;
  readonly closed: Promise<Error | undefined>;
  readonly #session: TcpSession;

  constructor(session: TcpSession, { source }: FlowRequest) {
    this.#session = session;
    this.closed = session.finished;
    const { input, output } = session;
    this.readable = new ReadableStream<Bytes>(
      {
        pull: async (controller) => {
          const data = await output.next();
          if (data === undefined) controller.close();
          else controller.enqueue(data);
        },
        cancel: () => this.reset(),
      },
      { highWaterMark: 0 }, // what is not read waits in the guest
    );
    this.writable = new WritableStream<Uint8Array>({
      start: (controller) => {
        session.finished.then((error) =>
          controller.error(error ?? new ProtocolError("The connection has ended")),
        );
      },
      write: async (chunk) => {
        if (await input.write(chunk)) return;
        const errno = input.errno ?? GuestErrno.EPIPE;
        throw new ConnectFailedError(source.address, source.port, errno, "it is read no more", "broken");
      },
      close: () => input.end(),
      abort: () => this.reset(),
    });
  }

  reset(): void {
    this.#session.abort(new ProtocolError("The connection was reset on this side"));
  }
}
