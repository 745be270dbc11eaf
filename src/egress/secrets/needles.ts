/**
 * Finds texts in what passes by: placeholders to be replaced, and what may not pass.
 *
 * Everything here works on strings that hold a byte in each character. Both runtimes search those at gigabytes a second, and
 * byte arrays not.
 *
 * @module
 */
import type { ByteTransform } from "../http/gate.ts";

/** A text to find. */
export interface Needle {
  /** Never empty. */
  readonly text: string;
  /** Its replacement. May throw, if the text may not pass. */
  readonly replace: () => string;
  /**
   * How much of it at the end of a piece is held back until the next: 1 where a part may not pass. More where that does not
   * matter, so that a protocol which waits for an answer is not held up by a single byte; then what stands in its place
   * has the same length.
   */
  readonly heldCharsMin: number;
}

/** Needles that begin alike are searched for once. */
const PREFIX_CHARS = 4;

interface Group {
  /** What all of its needles begin with. */
  readonly prefix: string;
  /** The longest first: it may begin with another one. */
  readonly needles: readonly Needle[];
}

interface Match {
  readonly start: number;
  readonly needle: Needle;
}

interface Replaced {
  readonly passed: string;
  /** The end of `passed` that could still become a needle. */
  readonly sent: string;
  /** What is not in `passed`, and could still become a needle. */
  readonly held: string;
}

/** Needles, ready to be searched for. */
export class NeedleSet {
  readonly #groups: readonly Group[];
  readonly #firstChars: ReadonlySet<string>;
  readonly #needles: readonly Needle[];
  readonly #charsMax: number;

  constructor(needles: readonly Needle[]) {
    this.#needles = needles;
    const byPrefix = Map.groupBy(needles, ({ text }) => text.slice(0, PREFIX_CHARS));
    this.#groups = [...byPrefix.values()].map((members) => ({
      prefix: commonPrefix(members.map(({ text }) => text)),
      needles: members.toSorted((a, b) => b.text.length - a.text.length),
    }));
    this.#firstChars = new Set(needles.map(({ text }) => text.charAt(0)));
    this.#charsMax = Math.max(0, ...needles.map(({ text }) => text.length));
  }

  get isEmpty(): boolean {
    return this.#needles.length === 0;
  }

  /** `text` with every needle replaced. At each place the longest one counts. */
  replaceIn(text: string): string {
    return this.#replace(text, false).passed;
  }

  /** Replaces in a stream of pieces. */
  stream(): ByteTransform {
    let sent = ""; // the start of a needle that was passed on, as it was too short to be held back
    let held = "";
    const step = (piece: Uint8Array, isMore: boolean): Uint8Array => {
      const own = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength).toString("latin1");
      const text = sent + held + own;
      const result = this.#replace(text, isMore);
      const isSame = held === "" && result.held === "" && result.passed === text;
      const passed = isSame ? piece : Buffer.from(result.passed.slice(sent.length), "latin1");
      ({ sent, held } = result);
      return passed;
    };
    return { push: (piece) => step(piece, true), end: () => step(new Uint8Array(), false) };
  }

  /** @param isMore Whether more follows, which could complete a needle. */
  #replace(text: string, isMore: boolean): Replaced {
    let passed = "";
    let position = 0;
    const nextStarts = this.#groups.map(() => 0); // where the search of each group goes on
    for (;;) {
      const match = this.#next(text, position, nextStarts);
      const heldStart = isMore ? this.#startOfNeedle(text, position, false) : text.length;
      if (match === undefined || match.start >= heldStart) {
        const sent = isMore ? text.slice(this.#startOfNeedle(text, position, true), heldStart) : "";
        // Without a match, the text itself: copying megabytes is what takes the time.
        const isWhole = position === 0 && heldStart === text.length;
        const all = isWhole ? text : passed + text.slice(position, heldStart);
        return { passed: all, sent, held: text.slice(heldStart) };
      }
      passed += text.slice(position, match.start) + match.needle.replace();
      position = match.start + match.needle.text.length;
    }
  }

  #next(text: string, position: number, nextStarts: number[]): Match | undefined {
    let first: Match | undefined;
    for (const [index, group] of this.#groups.entries()) {
      if (nextStarts[index] === -1) continue; // there is no other in this text
      const match = nextOf(group, text, Math.max(position, nextStarts[index] ?? 0));
      nextStarts[index] = match?.start ?? -1;
      if (match !== undefined && (first === undefined || comesBefore(match, first))) first = match;
    }
    return first;
  }

  /**
   * The start of the longest end of `text` that is also the start of a needle; the length of `text` if there is none.
   *
   * @param isAny Whether ends that are too short to be held back count, too.
   */
  #startOfNeedle(text: string, position: number, isAny: boolean): number {
    for (let start = Math.max(position, text.length - this.#charsMax + 1); start < text.length; start++) {
      if (!this.#firstChars.has(text.charAt(start))) continue;
      const end = text.slice(start);
      const isStart = (needle: Needle) =>
        (isAny || end.length >= needle.heldCharsMin) && isProperStart(end, needle.text);
      if (this.#needles.some(isStart)) return start;
    }
    return text.length;
  }
}

/** At the same place the longer one counts. */
function comesBefore(match: Match, other: Match): boolean {
  if (match.start !== other.start) return match.start < other.start;
  return match.needle.text.length > other.needle.text.length;
}

function nextOf({ prefix, needles }: Group, text: string, from: number): Match | undefined {
  for (let start = text.indexOf(prefix, from); start !== -1; start = text.indexOf(prefix, start + 1)) {
    const needle = needles.find((candidate) => text.startsWith(candidate.text, start));
    if (needle !== undefined) return { start, needle };
  }
  return undefined;
}

function isProperStart(start: string, text: string): boolean {
  return start.length < text.length && text.startsWith(start);
}

function commonPrefix(texts: readonly string[]): string {
  const [first = "", ...others] = texts;
  let length = first.length;
  for (const other of others) while (!other.startsWith(first.slice(0, length))) length--;
  return first.slice(0, length);
}
