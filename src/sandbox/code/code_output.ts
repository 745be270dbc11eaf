/** What one call writes to one stream: kept up to a limit, and handed on as it comes. @module */
import { type Bytes, concatBytes, decodeUtf8 } from "../../base/bytes.ts";

/** One stream of one call. */
export class CodeOutput {
  readonly #bytesMax: number;
  readonly #tell: ((text: string) => void | Promise<void>) | undefined;
  readonly #decoder = new TextDecoder();
  readonly #parts: Bytes[] = [];
  #keptBytes = 0;
  #omittedBytes = 0;

  constructor(bytesMax: number, tell: ((text: string) => void | Promise<void>) | undefined) {
    this.#bytesMax = bytesMax;
    this.#tell = tell;
  }

  /** How many bytes came beyond the limit. */
  get omittedBytes(): number {
    return this.#omittedBytes;
  }

  /** What was kept. */
  text(): string {
    return decodeUtf8(concatBytes(this.#parts));
  }

  /** Takes a part; resolves when the caller wants more. */
  async add(part: Bytes): Promise<void> {
    if (part.length === 0) return;
    const kept = part.subarray(0, Math.max(0, this.#bytesMax - this.#keptBytes));
    if (kept.length > 0) this.#parts.push(kept);
    this.#keptBytes += kept.length;
    this.#omittedBytes += part.length - kept.length;
    await this.#hand(this.#decoder.decode(part, { stream: true }));
  }

  /** Hands on what is left of a character that was cut off. */
  async end(): Promise<void> {
    await this.#hand(this.#decoder.decode());
  }

  async #hand(text: string): Promise<void> {
    if (text !== "") await this.#tell?.(text);
  }
}
