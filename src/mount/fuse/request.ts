/**
 * Requests of a guest's kernel, cut out of the byte stream that they come in, and their fields.
 *
 * @module
 */
import { FileSystemError } from "../errno.ts";
import { IN_HEADER_BYTES } from "./constants.ts";

/** One request. Fields are read from {@linkcode body} with the methods, each of which refuses to read past its end (EINVAL). */
export class FuseRequest {
  readonly opcode: number;
  /** Comes back in the reply. */
  readonly unique: bigint;
  readonly node: bigint;
  /** The process that asks; 0 if it is the kernel itself. */
  readonly pid: number;
  /** Everything behind the header. */
  readonly body: Uint8Array;
  readonly #view: DataView;

  constructor(bytes: Uint8Array) {
    const header = new DataView(bytes.buffer, bytes.byteOffset, IN_HEADER_BYTES);
    this.opcode = header.getUint32(4, true);
    this.unique = header.getBigUint64(8, true);
    this.node = header.getBigUint64(16, true);
    this.pid = header.getUint32(32, true);
    this.body = bytes.subarray(IN_HEADER_BYTES);
    this.#view = new DataView(
      bytes.buffer,
      bytes.byteOffset + IN_HEADER_BYTES,
      bytes.length - IN_HEADER_BYTES,
    );
  }

  u32(offset: number): number {
    this.#need(offset + 4);
    return this.#view.getUint32(offset, true);
  }

  /** A number of 64 bits that stays one: an id. */
  u64(offset: number): bigint {
    this.#need(offset + 8);
    return this.#view.getBigUint64(offset, true);
  }

  /** A size or an offset. Beyond what a file can have (EFBIG) it is refused. */
  size(offset: number): number {
    const value = this.u64(offset);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FileSystemError("EFBIG");
    return Number(value);
  }

  /** A time: seconds and nanoseconds at their offsets, as nanoseconds. */
  time(secondsOffset: number, nanosecondsOffset: number): bigint {
    const seconds = BigInt.asIntN(64, this.u64(secondsOffset));
    return seconds * 1_000_000_000n + BigInt(this.u32(nanosecondsOffset));
  }

  /** The bytes up to the next zero, and where the text after it begins. */
  text(offset: number): { readonly bytes: Uint8Array; readonly end: number } {
    this.#need(offset);
    const end = this.body.indexOf(0, offset);
    if (end === -1) throw new FileSystemError("EINVAL");
    return { bytes: this.body.subarray(offset, end), end: end + 1 };
  }

  /** `length` bytes at `offset`. */
  bytes(offset: number, length: number): Uint8Array {
    this.#need(offset + length);
    return this.body.subarray(offset, offset + length);
  }

  #need(bytes: number): void {
    if (bytes > this.body.length) throw new FileSystemError("EINVAL");
  }
}

/** Cuts a byte stream into requests. It holds one request that is not complete, of at most `bytesMax` bytes. */
export class RequestAssembler {
  readonly #bytesMax: number;
  /** The request that is coming; its size is known once {@linkcode #head} is full. */
  #request: Uint8Array | undefined;
  #head = new Uint8Array(IN_HEADER_BYTES);
  #filled = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * The requests that end in `chunk`, in order. They own their bytes.
   *
   * @throws {RangeError} at a size that no request has: the stream is of no more use.
   */
  *feed(chunk: Uint8Array): Generator<FuseRequest, void, void> {
    let offset = 0;
    while (offset < chunk.length) {
      const target = this.#request ?? this.#head;
      const taken = Math.min(target.length - this.#filled, chunk.length - offset);
      target.set(chunk.subarray(offset, offset + taken), this.#filled);
      this.#filled += taken;
      offset += taken;
      if (this.#request === undefined && this.#filled === IN_HEADER_BYTES) this.#begin();
      if (this.#request !== undefined && this.#filled === this.#request.length) {
        const request = new FuseRequest(this.#request);
        this.#request = undefined;
        this.#filled = 0;
        yield request;
      }
    }
  }

  #begin(): void {
    const size = new DataView(this.#head.buffer).getUint32(0, true);
    if (size < IN_HEADER_BYTES || size > this.#bytesMax)
      throw new RangeError(`a FUSE request announces ${size} bytes`);
    this.#request = new Uint8Array(size);
    this.#request.set(this.#head);
  }
}
