/**
 * Datagrams and echoes of the guest's: see `GuestDatagrams`.
 *
 * @module
 */
import { encodeMessage } from "../../agent/codec.ts";
import { FlowRefusalCode } from "../../agent/protocol.ts";
import { type DatagramSink, UDP_BUFFERED_BYTES_MAX } from "../../agent/udp_session.ts";
import type { Bytes } from "../../base/bytes.ts";
import type { FlowRefusal, GuestDatagrams } from "../flow.ts";

/** The most that IPv4 carries in one: 65,535 bytes minus its header and the header of UDP or of an echo. */
const DATAGRAM_BYTES_MAX = 65_507;
/** Echo requests that were not answered yet; one more replaces the oldest. */
const ECHOES_MAX = 32;

/** A datagram, or an echo request with its number. */
export interface Arrival {
  readonly data: Bytes;
  readonly sequence?: number | undefined;
}

/** A flow that was let in. */
export class DatagramFlow implements GuestDatagrams {
  onDatagram: (data: Bytes) => void = () => {};
  readonly closed: Promise<void>;
  readonly #stream: number;
  readonly #isEcho: boolean;
  readonly #sink: DatagramSink;
  readonly #closed = Promise.withResolvers<void>();
  /** What came before it was let in, until it is delivered. */
  #early: Arrival[] | undefined;
  /** Payloads of echo requests, by which a reply finds its number; the oldest first. */
  readonly #echoes: Arrival[] = [];
  #isOver = false;

  /** @param early Is delivered first, once the caller has set {@linkcode onDatagram}. */
  constructor(stream: number, isEcho: boolean, sink: DatagramSink, early: readonly Arrival[]) {
    this.#stream = stream;
    this.#isEcho = isEcho;
    this.#sink = sink;
    this.closed = this.#closed.promise;
    this.#early = [...early];
    queueMicrotask(() => {
      const arrivals = this.#early ?? [];
      this.#early = undefined;
      for (const arrival of arrivals) this.receive(arrival);
    });
  }

  /** Takes what the guest sent. */
  receive(arrival: Arrival): void {
    if (this.#isOver) return;
    if (this.#early !== undefined) {
      this.#early.push(arrival); // of the same turn
      return;
    }
    if (this.#isEcho) {
      this.#echoes.push(arrival);
      if (this.#echoes.length > ECHOES_MAX) this.#echoes.shift();
    }
    this.onDatagram(arrival.data);
  }

  send(data: Uint8Array): void {
    if (this.#isOver || data.length > DATAGRAM_BYTES_MAX) return;
    if (this.#sink.bufferedBytes > UDP_BUFFERED_BYTES_MAX) return;
    if (!this.#isEcho) return this.#sink.send(encodeMessage("datagram", this.#stream, { data }));
    const index = this.#echoes.findIndex((request) => isSame(request.data, data));
    const [request] = index < 0 ? [] : this.#echoes.splice(index, 1);
    if (request?.sequence === undefined) return; // it answers nothing
    this.#sink.send(encodeMessage("echo", this.#stream, { sequence: request.sequence, data }));
  }

  refuse(reason: FlowRefusal): void {
    if (this.#isOver) return;
    this.#sink.send(encodeMessage("flowRefuse", this.#stream, { reason: FlowRefusalCode[reason] }));
    this.end();
  }

  close(): void {
    if (this.#isOver) return;
    this.#sink.send(encodeMessage("close", this.#stream, {}));
    this.end();
  }

  /** It is over on the guest's side. */
  end(): void {
    this.#isOver = true;
    this.#closed.resolve();
  }
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}
