/**
 * TCP streams and UDP flows of the VM host process itself, on the stream numbers that belong to no client.
 *
 * @module
 */
import { decodeMessage } from "../../agent/codec.ts";
import type { Frame } from "../../agent/frame.ts";
import { MESSAGES, STREAM_SLOT_SHIFT } from "../../agent/protocol.ts";
import { type FrameSink, TcpSession, type TcpTarget } from "../../agent/tcp_session.ts";
import { type DatagramSink, UdpSession } from "../../agent/udp_session.ts";

/** Notes that the sandbox is in use. */
export interface Touchable {
  touch(): void;
}

const STREAM_LAST = 2 ** STREAM_SLOT_SHIFT - 1;

const SIGNS_OF_USE: ReadonlySet<number> = new Set([
  MESSAGES.stdout.type,
  MESSAGES.credit.type,
  MESSAGES.datagram.type,
]);

export class NetworkStreams {
  readonly #sink: FrameSink & DatagramSink;
  readonly #activity: Touchable;
  readonly #sessions = new Map<number, TcpSession | UdpSession>();
  #nextStream = 1;

  constructor(sink: FrameSink & DatagramSink, activity: Touchable) {
    this.#sink = sink;
    this.#activity = activity;
  }

  /** Begins to connect to a port of the guest. */
  connect(target: TcpTarget): TcpSession {
    const stream = this.#freeStream();
    const session = new TcpSession(stream, target, this.#sink);
    this.#sessions.set(stream, session);
    session.begin();
    this.#activity.touch();
    return session;
  }

  /** Begins a flow of datagrams to a port of the guest. */
  openUdp(port: number): UdpSession {
    const stream = this.#freeStream();
    const session = new UdpSession(stream, this.#sink);
    this.#sessions.set(stream, session);
    session.begin(port);
    this.#activity.touch();
    return session;
  }

  /** Takes a frame that the guest sent on one of these streams. */
  receive(frame: Frame): void {
    const session = this.#sessions.get(frame.stream);
    // Bytes from the guest, or room that the guest has made by taking some: the connection is in use.
    if (SIGNS_OF_USE.has(frame.type)) this.#activity.touch();
    const message = decodeMessage(frame);
    if (message === undefined) return;
    session?.receive(message);
    // Not when the session is over on this side: until then the number is the guest's.
    if (frame.type === MESSAGES.closed.type) this.#sessions.delete(frame.stream);
  }

  /** Numbers are taken in turn, so that one comes back as late as possible. */
  #freeStream(): number {
    while (this.#sessions.has(this.#nextStream)) this.#nextStream = (this.#nextStream % STREAM_LAST) + 1;
    const stream = this.#nextStream;
    this.#nextStream = (stream % STREAM_LAST) + 1;
    return stream;
  }
}
