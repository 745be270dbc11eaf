/** A channel over a stream of the runtime: a socket, or TLS over one. @module */
import type { Duplex } from "node:stream";
import { KiB } from "../../base/bytes.ts";
import type { ByteChannel } from "./byte_channel.ts";

/** What is read ahead, so that the end of a connection is seen while it is idle. */
const AHEAD_BYTES_MAX = 256 * KiB;

interface Waiting {
  readonly resolve: (piece: Uint8Array | undefined) => void;
  readonly reject: (error: Error) => void;
}

/** Takes a stream over: nothing else may listen to its data. */
export class DuplexChannel implements ByteChannel {
  readonly #stream: Duplex;
  readonly #pieces: Uint8Array[] = [];
  #bytes = 0;
  #isEnded = false;
  #error: Error | undefined;
  #reading: Waiting | undefined;
  readonly #drained = new Set<() => void>();

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on("data", (piece: Uint8Array) => this.#arrived(piece));
    stream.on("end", () => {
      this.#isEnded = true;
      this.#reading?.resolve(undefined);
      this.#reading = undefined;
    });
    stream.on("drain", () => this.#wakeWriters());
    stream.on("error", (error) => this.#broke(error));
    stream.on("close", () => this.#broke(new Error("the connection is closed")));
    stream.resume(); // it does not flow by itself once something has looked for "readable"
  }

  get isDisturbed(): boolean {
    return this.#pieces.length > 0 || this.#isEnded || this.#error !== undefined;
  }

  async read(): Promise<Uint8Array | undefined> {
    const piece = this.#pieces.shift();
    if (piece !== undefined) {
      this.#bytes -= piece.length;
      if (this.#bytes < AHEAD_BYTES_MAX && this.#stream.isPaused()) this.#stream.resume();
      return piece;
    }
    if (this.#isEnded) return undefined;
    if (this.#error !== undefined) throw this.#error;
    return await new Promise((resolve, reject) => {
      this.#reading = { resolve, reject };
    });
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#error !== undefined) throw this.#error;
    if (this.#stream.write(bytes)) return;
    await new Promise<void>((resolve) => this.#drained.add(resolve));
    if (this.#error !== undefined) throw this.#error;
  }

  async end(): Promise<void> {
    if (this.#error !== undefined || this.#stream.writableFinished) return;
    await new Promise<void>((resolve) => {
      this.#drained.add(resolve); // a connection that breaks off never finishes
      this.#stream.end(resolve);
    });
  }

  destroy(): void {
    this.#stream.destroy();
    this.#broke(new Error("the connection was broken off"));
  }

  #arrived(piece: Uint8Array): void {
    const { resolve } = this.#reading ?? {};
    this.#reading = undefined;
    if (resolve !== undefined) return resolve(piece);
    this.#pieces.push(piece);
    this.#bytes += piece.length;
    if (this.#bytes >= AHEAD_BYTES_MAX) this.#stream.pause();
  }

  #broke(error: Error): void {
    this.#error ??= error;
    if (!this.#isEnded) this.#reading?.reject(this.#error);
    this.#reading = undefined;
    this.#wakeWriters();
  }

  #wakeWriters(): void {
    for (const wake of this.#drained) wake();
    this.#drained.clear();
  }
}
