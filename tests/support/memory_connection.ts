/** Two ends of a connection within this process, over no socket. @module */
import type { UnixConnection } from "../../src/platform/unix_connection.ts";

/** One end. What it sends arrives at the other in a later turn, cut into chunks of `chunkBytes`. */
export class MemoryConnection implements UnixConnection {
  readonly #closed = Promise.withResolvers<void>();
  readonly closed: Promise<void> = this.#closed.promise;
  readonly bufferedBytes = 0;
  isReferenced = true;
  readonly #chunkBytes: number;
  readonly #waiting: Uint8Array[] = [];
  #handle: ((chunk: Uint8Array) => void) | undefined;
  #isPaused = false;
  #other: MemoryConnection | undefined;

  private constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  static pair(chunkBytes = 64 * 1024): [MemoryConnection, MemoryConnection] {
    const ends: [MemoryConnection, MemoryConnection] = [
      new MemoryConnection(chunkBytes),
      new MemoryConnection(chunkBytes),
    ];
    ends[0].#other = ends[1];
    ends[1].#other = ends[0];
    return ends;
  }

  /** The other end, until one of them is destroyed. */
  get peer(): MemoryConnection | undefined {
    return this.#other;
  }

  onData(handle: (chunk: Uint8Array) => void): void {
    this.#handle = handle;
    this.resume();
  }

  send(bytes: Uint8Array): void {
    const copy = bytes.slice();
    const other = this.#other;
    queueMicrotask(() => {
      for (let offset = 0; offset < copy.length; offset += this.#chunkBytes)
        other?.receive(copy.subarray(offset, offset + this.#chunkBytes));
    });
  }

  async drained(): Promise<void> {}

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    for (const chunk of this.#waiting.splice(0)) this.receive(chunk);
  }

  end(): void {
    queueMicrotask(() => this.destroy());
  }

  destroy(): void {
    const other = this.#other;
    if (other === undefined) return;
    this.#other = undefined;
    this.#closed.resolve();
    queueMicrotask(() => other.destroy());
  }

  setReferenced(referenced: boolean): void {
    this.isReferenced = referenced;
  }

  /** Called by the other end. */
  receive(chunk: Uint8Array): void {
    if (this.#handle === undefined || this.#isPaused) this.#waiting.push(chunk);
    else this.#handle(chunk);
  }
}
