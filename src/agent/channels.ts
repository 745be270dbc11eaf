/**
 * The data channels of an exec stream and their credit windows: see `protocol.ts`.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { ChangeSignal } from "../base/change_signal.ts";
import { encodeMessage } from "./codec.ts";
import { ProtocolError } from "./errors.ts";
import { encodeFrame, writeFrameHeader } from "./frame.ts";
import {
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  FrameFlag,
  MESSAGES,
  STREAM_WINDOW_BYTES,
} from "./protocol.ts";

/** A channel that carries what a program writes. */
export type OutputName = "stdout" | "stderr" | "output";

type Send = (frame: Bytes) => void;

/** Bytes that are taken before credit for them is sent: a quarter of the window keeps the sender busy. */
const CREDIT_BATCH_BYTES = STREAM_WINDOW_BYTES / 4;

/** A chunk and its place among all chunks of the session, so that channels can be merged in order of arrival. */
export interface Arrival {
  readonly number: number;
  readonly data: Bytes;
}

/** What the output channels of one session share: the order in which chunks arrive, and who waits for the next. */
export class Arrivals {
  /** Notified of each chunk, and of each channel's end. */
  readonly changes = new ChangeSignal();
  #count = 0;

  /** How many chunks have arrived. */
  get count(): number {
    return this.#count;
  }

  /** The number of the chunk that has just arrived. */
  number(): number {
    return this.#count++;
  }
}

/** What one program writes to one channel. Holds at most one window of bytes. */
export class OutputChannel {
  readonly name: OutputName;
  readonly #stream: number;
  readonly #send: Send;
  readonly #arrivals: Arrivals;
  readonly #queue: Arrival[] = [];
  #bufferedBytes = 0;
  #uncreditedBytes = 0;
  #ended = false;
  #error: Error | undefined;

  constructor(name: OutputName, stream: number, send: Send, arrivals = new Arrivals()) {
    this.name = name;
    this.#stream = stream;
    this.#send = send;
    this.#arrivals = arrivals;
  }

  /** Called for each data frame. */
  receive(data: Uint8Array, end: boolean): void {
    if (this.#ended) return; // closed here while it was on its way
    if (data.length > 0) {
      this.#bufferedBytes += data.length;
      if (this.#bufferedBytes > STREAM_WINDOW_BYTES)
        throw new ProtocolError(`${this.name} overran its window`);
      this.#queue.push({ number: this.#arrivals.number(), data: data.slice() });
    }
    if (end) this.#ended = true;
    this.#arrivals.changes.notify();
  }

  /** Ends the channel after what has arrived, or with an error. */
  finish(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#arrivals.changes.notify();
  }

  /** The number of the oldest chunk that waits; `undefined` if none does. */
  get oldest(): number | undefined {
    return this.#queue[0]?.number;
  }

  /** Whether nothing waits and nothing will come. */
  get isFinished(): boolean {
    return this.#ended && this.#queue.length === 0;
  }

  /** Resolves at the next change of this channel or one of its session: a chunk, the end, or an error. */
  get changed(): Promise<void> {
    return this.#arrivals.changes.next;
  }

  /** Takes the oldest chunk, and gives the sender credit for it. */
  take(): Bytes | undefined {
    const arrival = this.#queue.shift();
    if (arrival === undefined) {
      if (this.#error !== undefined) throw this.#error;
      return undefined;
    }
    this.#bufferedBytes -= arrival.data.length;
    this.#uncreditedBytes += arrival.data.length;
    if (this.#uncreditedBytes >= CREDIT_BATCH_BYTES && !this.#ended) {
      const channel = MESSAGES[this.name].type;
      this.#send(encodeMessage("credit", this.#stream, { channel, bytes: this.#uncreditedBytes }));
      this.#uncreditedBytes = 0;
    }
    return arrival.data;
  }

  /** The next chunk; `undefined` at the end. */
  async next(): Promise<Bytes | undefined> {
    for (;;) {
      const changed = this.changed;
      const data = this.take();
      if (data !== undefined || this.isFinished) return data;
      await changed;
    }
  }

  /**
   * The channel as a stream that reads nothing ahead: what is not read waits in the guest. Each read is passed through
   * `holding`.
   */
  toReadableStream(holding: <T>(read: Promise<T>) => Promise<T> = (read) => read): ReadableStream<Bytes> {
    return new ReadableStream<Bytes>(
      {
        pull: async (controller) => {
          const data = await holding(this.next());
          if (data === undefined) controller.close();
          else controller.enqueue(data);
        },
        cancel: () => void this.#discard(), // a reader that leaves does not wait for the end of the program
      },
      { highWaterMark: 0 },
    );
  }

  /** Keeps taking chunks, so that a reader that has left does not block the program. */
  async #discard(): Promise<void> {
    while (!this.isFinished) {
      const changed = this.changed;
      if (this.#error !== undefined) return;
      if (this.take() === undefined) await changed;
    }
  }
}

/** What a program reads from its stdin. */
export class InputChannel {
  readonly #stream: number;
  readonly #send: Send;
  readonly #drained: () => Promise<void>;
  readonly #frameBytesMax: number;
  #credit = STREAM_WINDOW_BYTES;
  #ended = false;
  #errno: number | undefined;
  readonly #changes = new ChangeSignal();
  /** What was asked for last: writes and the end take their turns, whether callers wait for them or not. */
  #last: Promise<unknown> = Promise.resolve();

  /** @param frameBytesMax What one frame carries at most. */
  constructor(
    stream: number,
    send: Send,
    drained: () => Promise<void>,
    frameBytesMax: number = FRAME_PAYLOAD_BYTES_MAX,
  ) {
    this.#stream = stream;
    this.#send = send;
    this.#drained = drained;
    this.#frameBytesMax = frameBytesMax;
  }

  /** The guest's errno if the program closed its stdin before all was written, typically 32 (EPIPE). */
  get errno(): number | undefined {
    return this.#errno;
  }

  addCredit(bytes: number): void {
    this.#credit = Math.min(this.#credit + bytes, STREAM_WINDOW_BYTES);
    this.#changes.notify();
  }

  /** What may be sent at once of a stream that others have written to before. */
  setCredit(bytes: number): void {
    this.#credit = Math.min(bytes, STREAM_WINDOW_BYTES);
    this.#changes.notify();
  }

  /** The program reads no more. */
  broken(errno: number): void {
    this.#errno = errno;
    this.#changes.notify();
  }

  /** The program is gone. */
  finish(): void {
    this.#ended = true;
    this.#changes.notify();
  }

  /** Sends all of `bytes`, waiting for credit as needed. Returns false if the program reads no more. */
  write(bytes: Uint8Array): Promise<boolean> {
    return this.writeParts([bytes]);
  }

  /** {@linkcode write} of what lies in several places, one after the other. */
  writeParts(parts: readonly Uint8Array[]): Promise<boolean> {
    return this.#inTurn(() => this.#write(new Gathered(parts)));
  }

  /** Sends the end of input, once, when all that was written before is sent. */
  end(): Promise<void> {
    return this.#inTurn(async () => this.#end());
  }

  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(action);
    this.#last = turn;
    return turn;
  }

  async #write(bytes: Gathered): Promise<boolean> {
    while (bytes.left > 0) {
      if (this.#ended || this.#errno !== undefined) return false;
      const size = Math.min(bytes.left, this.#credit, this.#frameBytesMax);
      if (size === 0) {
        await this.#changes.next;
        continue;
      }
      this.#credit -= size;
      const frame = new Uint8Array(FRAME_HEADER_BYTES + size);
      writeFrameHeader(frame, this.#stream, MESSAGES.stdin.type, 0, size);
      bytes.take(frame.subarray(FRAME_HEADER_BYTES));
      this.#send(frame);
      await this.#drained();
    }
    return this.#errno === undefined;
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const payload = new Uint8Array(0);
    this.#send(
      encodeFrame({ stream: this.#stream, type: MESSAGES.stdin.type, flags: FrameFlag.end, payload }),
    );
  }
}

/** Bytes that lie in several places, taken one after the other. */
class Gathered {
  readonly #parts: readonly Uint8Array[];
  #index = 0;
  #offset = 0;
  /** Bytes that were not taken yet. */
  left: number;

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
    this.left = parts.reduce((sum, part) => sum + part.length, 0);
  }

  /** Fills `target` with the next bytes; there must be as many. */
  take(target: Uint8Array): void {
    for (let filled = 0; filled < target.length; ) {
      const part = this.#parts[this.#index];
      if (part === undefined) throw new RangeError("there are no more bytes");
      const piece = part.subarray(this.#offset, this.#offset + target.length - filled);
      target.set(piece, filled);
      filled += piece.length;
      this.#offset += piece.length;
      if (this.#offset < part.length) continue;
      this.#index++;
      this.#offset = 0;
    }
    this.left -= target.length;
  }
}
