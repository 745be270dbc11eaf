/**
 * Holds what a guest sends first until the name that it shows is judged.
 *
 * @module
 */
import { FirstBytesReader } from "./first_bytes.ts";
import { DeniedBytes, type Filter } from "./pump.ts";

/** What decides about names. */
export interface NameJudge {
  /** Whether a current rule is about names there. If not, everything is sent on at once. */
  readonly matters: () => boolean;
  /** Called with the name that was shown, or with none. Returns `undefined` to let it through, else the reason. */
  readonly judge: (name: string | undefined) => string | undefined;
  /** Called for TLS or HTTP that was sent on although no name could be read in it. */
  readonly onUnreadable: () => void;
}

/**
 * Lets TLS and HTTP through if the name in them is allowed, and other protocols as they are. What can still be either is sent on
 * at once, since the client of another protocol may wait for an answer; a name is never in it.
 *
 * Names are read also where no rule is about them: one may come while the connection is open.
 */
export class NameFilter implements Filter {
  readonly #names: NameJudge;
  #reader: FirstBytesReader | undefined = new FirstBytesReader();
  /** How much of what was read is sent on already. */
  #sentBytes = 0;

  constructor(names: NameJudge) {
    this.#names = names;
  }

  take(chunk: Uint8Array): Uint8Array | undefined {
    const reader = this.#reader;
    if (reader === undefined) return chunk;
    const found = reader.push(chunk);
    if (found.kind === "incomplete")
      return found.canBeOther || !this.#names.matters() ? this.#rest(reader) : undefined;
    if (found.kind === "invalid" && this.#names.matters()) throw new DeniedBytes(found.problem);
    if (found.kind === "invalid") this.#names.onUnreadable();
    const problem = found.kind === "named" ? this.#names.judge(found.name) : undefined;
    if (problem !== undefined) throw new DeniedBytes(problem);
    this.#reader = undefined;
    return this.#rest(reader);
  }

  /** A hello or a head that was cut off is not sent: a lenient server could read a name in it. */
  end(): Uint8Array | undefined {
    const reader = this.#reader;
    if (reader === undefined || reader.bytes.length === 0) return undefined;
    if (!this.#names.matters()) return this.#rest(reader);
    const { bytes } = reader;
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
