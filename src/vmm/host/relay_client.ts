/**
 * One client of the relay: the frames that it sends, taken one by one, and what it has not read yet.
 *
 * A client waits, and only that client, while it does not read its answers or while the guest has no room for what it
 * sends. What waits for it here is bounded in either direction.
 *
 * @module
 */
import { encodeMessage } from "../../agent/codec.ts";
import { type DecodedFrame, FrameDecoder } from "../../agent/frame.ts";
import { SESSIONS_MAX, STREAM_WINDOW_BYTES, WireError } from "../../agent/protocol.ts";
import { type Bytes, MiB } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import type { UnixConnection } from "../../platform/unix_connection.ts";

/** Every session's two output windows, and room for the frames that need no credit. */
const QUEUE_BYTES_MAX = SESSIONS_MAX * 2 * STREAM_WINDOW_BYTES + 16 * MiB;
/** A client that asks is not read while this much waits for it. */
const ANSWERED_BYTES_MAX = 1 * MiB;
/** Requests of one client whose answers take time: pauses, holds of writes, changes of ports. */
const PENDING_MAX = 64;
/** Pings of one client on their way; one more replaces the oldest. */
const PINGS_MAX = 16;

/** Which stream numbers a client has. */
export interface ClientStreams {
  readonly slot: number;
  readonly firstStream: number;
  readonly lastStream: number;
}

export class RelayClient implements ClientStreams {
  readonly slot: number;
  readonly firstStream: number;
  readonly lastStream: number;
  highestStream = 0;
  /** The tokens of its pings that are on their way, by the number that they have there; the oldest first. */
  readonly pings = new Map<number, number>();
  readonly #connection: UnixConnection;
  /** Takes a frame; returns what to wait for if it cannot. */
  readonly #take: (frame: DecodedFrame) => Promise<void> | undefined;
  readonly #decoder = new FrameDecoder();
  /** What was read and not taken: chunks, the frames of the one in hand, and a frame that has to wait. */
  readonly #chunks: Uint8Array[] = [];
  #frames: Generator<DecodedFrame, void, void> | undefined;
  #frame: DecodedFrame | undefined;
  #isHeld = false;
  /** It was refused, or has left: nothing more of what it sent is taken. */
  #isOver = false;
  #pending = 0;

  constructor(
    connection: UnixConnection,
    streams: ClientStreams,
    take: (frame: DecodedFrame) => Promise<void> | undefined,
  ) {
    this.#connection = connection;
    this.slot = streams.slot;
    this.firstStream = streams.firstStream;
    this.lastStream = streams.lastStream;
    this.#take = take;
    connection.closed.then(() => {
      this.#isOver = true;
    });
    connection.onData((chunk) => {
      this.#chunks.push(chunk);
      this.#work();
    });
  }

  /** Resolves when the connection has ended. */
  get closed(): Promise<void> {
    return this.#connection.closed;
  }

  /** Resolves when the client has read what it was sent. */
  drained(): Promise<void> {
    return this.#connection.drained();
  }

  /** Sends what the client did not ask for: bounded by the credit that it gave. A client that breaks that bound is cut off. */
  send(frame: Bytes): void {
    this.#connection.send(frame);
    if (this.#connection.bufferedBytes > QUEUE_BYTES_MAX) this.#connection.destroy();
  }

  /** Sends an answer. A client that does not read its answers is not read either. */
  answer(frame: Bytes): void {
    this.send(frame);
    if (this.#connection.bufferedBytes > ANSWERED_BYTES_MAX) this.#holdUntil(this.#connection.drained());
  }

  /** Sends an answer once it is there; answers with `refusal` if too many are on their way. `answer` must not reject. */
  answerLater(answer: () => Promise<Bytes>, refusal: () => Bytes): void {
    if (this.#pending >= PENDING_MAX) return this.answer(refusal());
    this.#pending++;
    answer().then((frame) => {
      this.#pending--;
      this.answer(frame);
    });
  }

  /** Notes a ping that goes on under `number`; returns the one that it replaces, if there are too many. */
  addPing(number: number, token: number): number | undefined {
    this.pings.set(number, token);
    if (this.pings.size <= PINGS_MAX) return undefined;
    const [oldest] = this.pings.keys();
    if (oldest !== undefined) this.pings.delete(oldest);
    return oldest;
  }

  /** Ends the connection with a reason; nothing more of what it sent is taken. */
  refuse(code: number, message: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#connection.send(encodeMessage("error", 0, { code, offendingType: 0, message }));
    this.#connection.end();
  }

  /** Takes frames until there are none, or the client has to wait. */
  #work(): void {
    try {
      while (!this.#isHeld && !this.#isOver) {
        this.#frame ??= this.#nextFrame();
        if (this.#frame === undefined) return;
        const room = this.#take(this.#frame);
        if (room === undefined) this.#frame = undefined;
        else this.#holdUntil(room);
      }
    } catch (error) {
      this.refuse(WireError.malformed, messageOf(error));
    }
  }

  #nextFrame(): DecodedFrame | undefined {
    for (;;) {
      const frame = this.#frames?.next().value;
      if (frame !== undefined) return frame;
      const chunk = this.#chunks.shift();
      this.#frames = chunk === undefined ? undefined : this.#decoder.feed(chunk);
      if (chunk === undefined) return undefined;
    }
  }

  /** Stops reading: what the client sends stays in the kernel, and then the client waits. */
  #holdUntil(room: Promise<void>): void {
    if (this.#isHeld) return;
    this.#isHeld = true;
    this.#connection.pause();
    room.then(() => {
      this.#isHeld = false;
      this.#work();
      if (!this.#isHeld) this.#connection.resume();
    });
  }
}
