/**
 * Frames on their way to the guest's network, inside one stream: many flows send, one window takes.
 *
 * @module
 */
import {
  FRAME_HEADER_BYTES,
  FRAME_PAYLOAD_BYTES_MAX,
  MESSAGES,
  STREAM_WINDOW_BYTES,
} from "../../agent/protocol.ts";
import type { FrameSink } from "../../agent/tcp_session.ts";
import type { DatagramSink } from "../../agent/udp_session.ts";
import type { Bytes } from "../../base/bytes.ts";

/** Flows wait while this many bytes are queued. */
const QUEUED_BYTES_MAX = 2 * STREAM_WINDOW_BYTES;

/**
 * Most queued frames that are not data: answers and credit, of a few bytes each. If the agent reads, it is thousands fewer.
 */
export const CONTROL_FRAMES_MAX = 32_768;

/** Frames whose payload is what programs receive. */
const DATA: ReadonlySet<number | undefined> = new Set([
  MESSAGES.stdin.type,
  MESSAGES.datagram.type,
  MESSAGES.echo.type,
]);
/** Where a frame's type stands. */
const TYPE_AT = 8;

/** Sends in order, as much at once as has come together. */
export class FrameQueue implements FrameSink, DatagramSink {
  /** Sends all of the parts; resolves with false when no more is accepted. */
  readonly #write: (parts: readonly Uint8Array[]) => Promise<boolean>;
  readonly #onData: (bytes: number) => void;
  readonly #onOverflow: () => void;
  #controlFrames = 0;
  #parts: Bytes[] = [];
  #bytes = 0;
  #isSending = false;
  #isClosed = false;
  /** Flows that have a frame in the queue and wait for room, the one that came first in front. */
  readonly #waiting: (() => void)[] = [];

  /**
   * @param onData Is told how many bytes of programs' data are sent.
   * @param onOverflow Is called when {@linkcode CONTROL_FRAMES_MAX} frames wait: the guest asks, and does not read.
   */
  constructor(
    write: (parts: readonly Uint8Array[]) => Promise<boolean>,
    onData: (bytes: number) => void = () => {},
    onOverflow: () => void = () => {},
  ) {
    this.#write = write;
    this.#onData = onData;
    this.#onOverflow = onOverflow;
  }

  get bufferedBytes(): number {
    return this.#bytes;
  }

  send(frame: Bytes): void {
    if (this.#isClosed) return;
    if (DATA.has(frame[TYPE_AT])) this.#onData(frame.length - FRAME_HEADER_BYTES);
    else if (++this.#controlFrames > CONTROL_FRAMES_MAX) {
      this.close();
      return this.#onOverflow();
    }
    this.#parts.push(frame);
    this.#bytes += frame.length;
    if (!this.#isSending) void this.#run();
  }

  drained(): Promise<void> {
    if (this.#bytes <= QUEUED_BYTES_MAX || this.#isClosed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Lets all that wait go on, and sends nothing any more. */
  close(): void {
    this.#isClosed = true;
    this.#parts = [];
    this.#bytes = 0;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #run(): Promise<void> {
    this.#isSending = true;
    await undefined; // what is sent in the same turn goes along
    while (this.#parts.length > 0) {
      const parts = this.#parts;
      this.#parts = [];
      const size = parts.reduce((sum, part) => sum + part.length, 0);
      const controlFrames = this.#controlFrames;
      if (!(await this.#write(parts))) this.close();
      else if (!this.#isClosed) this.#bytes -= size;
      this.#controlFrames -= controlFrames;
      this.#wake();
    }
    this.#isSending = false;
  }

  /** Wakes as many as have room for a frame each: waking all at once could fill the queue again. */
  #wake(): void {
    const room = QUEUED_BYTES_MAX - this.#bytes;
    const count = Math.max(0, Math.ceil(room / FRAME_PAYLOAD_BYTES_MAX));
    for (const resolve of this.#waiting.splice(0, count)) resolve();
  }
}
