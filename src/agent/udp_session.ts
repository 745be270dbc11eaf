/**
 * One UDP flow in the guest: datagrams to and from a port of its loopback interface, each whole or not at all.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { encodeMessage } from "./codec.ts";
import type { Message } from "./protocol.ts";

/** Bytes on their way to the guest from which on datagrams are dropped, as a network would: they are never waited for. */
export const UDP_BUFFERED_BYTES_MAX: number = 1024 * 1024;

/** Takes frames to the guest. */
export interface DatagramSink {
  send(frame: Bytes): void;
  /** What the guest has not taken yet. */
  readonly bufferedBytes: number;
}

export class UdpSession {
  /** Called with each datagram of the guest's server. */
  onDatagram: (data: Bytes) => void = () => {};
  /** Resolves when the flow has ended, on whichever side. */
  readonly finished: Promise<void>;
  readonly #stream: number;
  readonly #sink: DatagramSink;
  readonly #finished = Promise.withResolvers<void>();
  #isOver = false;

  constructor(stream: number, sink: DatagramSink) {
    this.#stream = stream;
    this.#sink = sink;
    this.finished = this.#finished.promise;
  }

  /** Sends `udpOpen`; datagrams may follow at once. */
  begin(port: number): void {
    this.#sink.send(encodeMessage("udpOpen", this.#stream, { port }));
  }

  /** Sends a datagram, or drops it. */
  send(data: Uint8Array): void {
    if (this.#isOver || this.#sink.bufferedBytes > UDP_BUFFERED_BYTES_MAX) return;
    this.#sink.send(encodeMessage("datagram", this.#stream, { data }));
  }

  close(): void {
    if (this.#isOver) return;
    this.#sink.send(encodeMessage("close", this.#stream, {}));
    this.#finish();
  }

  receive(message: Message): void {
    if (message.name === "closed") this.#finish();
    else if (message.name === "datagram" && !this.#isOver) this.onDatagram(message.fields.data.slice());
  }

  #finish(): void {
    this.#isOver = true;
    this.#finished.resolve();
  }
}
