/** Two ends of a connection within this process, over no socket. @module */
import type { ByteConnection } from "../../src/platform/byte_connection.ts";

/** One end. What it sends arrives at the other in a later turn, cut into chunks of `chunkBytes`. */
export class MemoryConnection implements ByteConnection {
  readonly #closed = Promise.withResolvers<void>();
  readonly closed: Promise<void> = this.#closed.promise;
  readonly #chunkBytes: number;
  readonly #early: Uint8Array[] = [];
  #handle: ((chunk: Uint8Array) => void) | undefined;
  #other: MemoryConnection | undefined;
  isReferenced = true;

  private constructor(chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
  }

  static pair(chunkBytes = 1024): [MemoryConnection, MemoryConnection] {
    const ends: [MemoryConnection, MemoryConnection] = [
      new MemoryConnection(chunkBytes),
      new MemoryConnection(chunkBytes),
    ];
    ends[0].#other = ends[1];
    ends[1].#other = ends[0];
    return ends;
  }

  onData(handle: (chunk: Uint8Array) => void): void {
    this.#handle = handle;
    for (const chunk of this.#early.splice(0)) handle(chunk);
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
    if (this.#handle === undefined) this.#early.push(chunk);
    else this.#handle(chunk);
  }
}
