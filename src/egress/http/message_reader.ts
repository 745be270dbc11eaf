/** Takes the messages of one direction apart: heads, bodies, and what comes after the last one. @module */
import { concatBytes, KiB } from "../../base/bytes.ts";
import type { ByteChannel } from "./byte_channel.ts";
import type { Framing, HeaderField } from "./message.ts";
import { HEAD_BYTES_MAX, parseTrailers } from "./parse_head.ts";
import type { HttpProblem } from "./problem.ts";

const CR = 0x0d;
const LF = 0x0a;
/** The line before a chunk: up to 15 digits, and extensions, which are not passed on. */
const CHUNK_LINE_BYTES_MAX = 1 * KiB;
/** The empty lines that a client may send before a request (RFC 9112 section 2.2). */
const LEADING_LINES_MAX = 2;

const NOTHING = new Uint8Array();

/** Makes the problem of a message that breaks a rule, worded for its side. */
export type Refuse = (reason: string, status?: number) => HttpProblem;

/**
 * Reads a channel in pieces that end where a message's parts end. Holds what came too early, which is at most a head and one
 * piece of the channel.
 */
export class MessageReader {
  readonly #channel: ByteChannel;
  readonly #refuse: Refuse;
  #rest: Uint8Array = NOTHING;
  /** A read that {@linkcode look} has begun, for the next reader. */
  #reading: Promise<Uint8Array | undefined> | undefined;

  /** @param reading A read of the channel that has begun. */
  constructor(channel: ByteChannel, refuse: Refuse, reading?: Promise<Uint8Array | undefined>) {
    this.#channel = channel;
    this.#refuse = refuse;
    this.#reading = reading;
  }

  /** What was read and not taken. */
  get buffered(): Uint8Array {
    return this.#rest;
  }

  /** Puts bytes in front of what comes, before anything was read. */
  unread(bytes: Uint8Array): void {
    this.#rest = concatBytes([bytes, this.#rest]);
  }

  /** Whether bytes follow; they stay for the next that reads. Resolves when that is known. */
  async look(): Promise<boolean> {
    return this.#rest.length > 0 || (await this.#readMore());
  }

  /** Waits for more bytes than are buffered. Resolves with whether there are any. */
  lookFurther(): Promise<boolean> {
    return this.#readMore();
  }

  /** The bytes of a head, its empty line included; `undefined` if the other side ended before it. @throws {HttpProblem} */
  async readHead(): Promise<Uint8Array | undefined> {
    if (!(await this.#skipEmptyLines())) return undefined;
    return await this.#readLines(HEAD_BYTES_MAX);
  }

  /** The next piece of whatever comes; `undefined` at the end. */
  async readSome(): Promise<Uint8Array | undefined> {
    if (this.#rest.length === 0 && !(await this.#readMore())) return undefined;
    const taken = this.#rest;
    this.#rest = NOTHING;
    return taken;
  }

  /**
   * The pieces of a body, none of them empty. It ends where the body does.
   *
   * @param onTrailers Called with the fields behind a chunked body.
   * @throws {HttpProblem} also if the body is cut off.
   */
  async *readBody(
    framing: Framing,
    onTrailers?: (fields: HeaderField[]) => void,
  ): AsyncGenerator<Uint8Array> {
    if (framing.kind === "length") yield* this.#readExactly(framing.bytes);
    if (framing.kind === "chunked") {
      for (let size = await this.#readChunkSize(); size > 0; size = await this.#readChunkSize()) {
        yield* this.#readExactly(size);
        await this.#expectLineEnd();
      }
      const trailers = parseTrailers(await this.#readLines(HEAD_BYTES_MAX), this.#refuse);
      onTrailers?.(trailers);
    }
    if (framing.kind === "untilClose")
      for (let piece = await this.readSome(); piece !== undefined; piece = await this.readSome())
        if (piece.length > 0) yield piece;
  }

  async *#readExactly(bytes: number): AsyncGenerator<Uint8Array> {
    for (let left = bytes; left > 0; ) {
      const piece = await this.readSome();
      if (piece === undefined) throw this.#refuse("the body was cut off");
      if (piece.length === 0) continue;
      const taken = piece.length <= left ? piece : piece.subarray(0, left);
      this.#rest = piece.subarray(taken.length);
      left -= taken.length;
      yield taken;
    }
  }

  async #readChunkSize(): Promise<number> {
    const line = await this.#readLine(CHUNK_LINE_BYTES_MAX);
    const [, digits] = /^([0-9a-fA-F]{1,13})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line) ?? [];
    if (digits === undefined) throw this.#refuse("a chunk's size is not a number");
    return Number.parseInt(digits, 16);
  }

  async #expectLineEnd(): Promise<void> {
    if ((await this.#readLine(2)) !== "") throw this.#refuse("a chunk is longer than its size");
  }

  /** A line without its end. */
  async #readLine(bytesMax: number): Promise<string> {
    for (let searched = 0; ; ) {
      const end = this.#rest.indexOf(LF, searched);
      if (end >= bytesMax || (end === -1 && this.#rest.length >= bytesMax))
        throw this.#refuse("a line of a chunked body is too long");
      if (end !== -1) {
        if (this.#rest[end - 1] !== CR) throw this.#refuse("a line feed without a carriage return");
        const line = latin1(this.#rest.subarray(0, end - 1));
        this.#rest = this.#rest.subarray(end + 1);
        return line;
      }
      searched = this.#rest.length;
      if (!(await this.#readMore())) throw this.#refuse("the body was cut off");
    }
  }

  /** Everything up to and including an empty line. */
  async #readLines(bytesMax: number): Promise<Uint8Array> {
    for (let lineStart = 0, searched = 0; ; ) {
      const end = this.#rest.indexOf(LF, searched);
      if (end >= bytesMax || (end === -1 && this.#rest.length >= bytesMax))
        throw this.#refuse(`the header fields are larger than ${bytesMax} bytes`, 431);
      if (end === -1) {
        searched = this.#rest.length;
        if (!(await this.#readMore())) throw this.#refuse("the message was cut off in its head");
        continue;
      }
      if (this.#rest[end - 1] !== CR) throw this.#refuse("a line feed without a carriage return");
      if (end - lineStart === 1) {
        const taken = this.#rest.subarray(0, end + 1);
        this.#rest = this.#rest.subarray(end + 1);
        return taken;
      }
      lineStart = end + 1;
      searched = lineStart;
    }
  }

  /** Whether something else than empty lines follows. */
  async #skipEmptyLines(): Promise<boolean> {
    for (let lines = 0; ; ) {
      if (this.#rest.length === 0 && !(await this.#readMore())) return false;
      if (this.#rest[0] !== CR) return true;
      if (this.#rest.length === 1 && !(await this.#readMore())) throw this.#refuse("the message was cut off");
      if (this.#rest[1] !== LF || ++lines > LEADING_LINES_MAX) throw this.#refuse("no request line");
      this.#rest = this.#rest.subarray(2);
    }
  }

  async #readMore(): Promise<boolean> {
    this.#reading ??= this.#channel.read();
    const reading = this.#reading;
    const piece = await reading;
    // Two may wait for one read: the first of them takes it.
    if (this.#reading === reading) {
      this.#reading = undefined;
      if (piece !== undefined)
        this.#rest = this.#rest.length === 0 ? piece : concatBytes([this.#rest, piece]);
    }
    return piece !== undefined;
  }
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
