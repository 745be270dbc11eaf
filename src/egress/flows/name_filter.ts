/**
 * Holds what a guest sends first until the name that it shows is judged.
 *
 * @module
 */
import { FirstBytesReader } from "./first_bytes.ts";
import { DeniedBytes, type Filter } from "./pump.ts";

/** What a judge says to a name, or to none: `undefined` lets it through, else why not. */
export type JudgeName = (name: string | undefined) => string | undefined;

/**
 * Lets TLS and HTTP through if the name in them is allowed, and other protocols as they are. What can still be either is sent on
 * at once, since the client of another protocol may wait for an answer; a name is never in it.
 */
export class NameFilter implements Filter {
  readonly #judgeName: JudgeName;
  #reader: FirstBytesReader | undefined = new FirstBytesReader();
  /** How much of what was read is sent on already. */
  #sentBytes = 0;

  constructor(judgeName: JudgeName) {
    this.#judgeName = judgeName;
  }

  take(chunk: Uint8Array): Uint8Array | undefined {
    const reader = this.#reader;
    if (reader === undefined) return chunk;
    const found = reader.push(chunk);
    if (found.kind === "incomplete" && !found.canBeOther) return undefined;
    if (found.kind === "incomplete") return this.#rest(reader);
    if (found.kind === "invalid") throw new DeniedBytes(found.problem);
    const problem = found.kind === "named" ? this.#judgeName(found.name) : undefined;
    if (problem !== undefined) throw new DeniedBytes(problem);
    this.#reader = undefined;
    return this.#rest(reader);
  }

  /** A hello or a head that was cut off is sent to no server: one that is lenient could read a name in it. */
  end(): Uint8Array | undefined {
    const bytes = this.#reader?.bytes;
    if (bytes === undefined || bytes.length === 0) return undefined;
    const isTls = bytes[0] === 0x16;
    const isHttp = /HTTP\//i.test(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1"),
    );
    if (isTls || isHttp) throw new DeniedBytes("it ended before its name was read");
    return undefined; // it was sent on as it came
  }

  /** What is not sent on yet, in memory of its own: the reader writes into its buffer again. */
  #rest(reader: FirstBytesReader): Uint8Array {
    const rest = reader.bytes.slice(this.#sentBytes);
    this.#sentBytes += rest.length;
    return rest;
  }
}
