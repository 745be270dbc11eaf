/**
 * Text of a guest, made safe for the terminal of a person.
 *
 * A terminal obeys what it is sent: it moves the cursor, changes its title, and answers queries as if the person had
 * typed. So on a terminal only text, line control and colours (SGR) of a guest's output pass. Sequences follow ECMA-48,
 * section 5.4 (CSI) and 5.6 (control strings).
 *
 * @module
 */

/** Shows control characters as escapes, so that a message of a guest stays text: `"\x1b[2J"` is shown, not obeyed. */
export function escapeControls(text: string): string {
  return text.replaceAll(/[^\P{Cc}\n\t]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return `\\x${code.toString(16).padStart(2, "0")}`;
  });
}

const ESC = 0x1b;
const BEL = 0x07;
/** The line control that passes: tab, line feed, carriage return. */
const PASSED_CONTROLS: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0d]);
/** Bytes behind ESC that open a control string: DCS, SOS, OSC, PM, APC. */
const STRING_OPENERS: ReadonlySet<number> = new Set([0x50, 0x58, 0x5d, 0x5e, 0x5f]);
/** First byte of U+0080 to U+00BF in UTF-8, among them the C1 controls that terminals obey like ESC sequences. */
const C1_LEAD = 0xc2;
/** Longest colour sequence that passes; a longer one is dropped, so that an unended one holds no memory. */
const SGR_BYTES_MAX = 64;

type State = "text" | "lead" | "escape" | "intermediate" | "csi" | "string" | "stringEscape" | "stringLead";

/** Filters one output of a guest, chunk by chunk; a sequence may be split between chunks. */
export class TerminalFilter {
  #state: State = "text";
  /** The CSI sequence so far, ESC included; empty once it is too long to pass. */
  #sequence: number[] = [];

  /** The part of `chunk` that may reach a terminal. */
  filter(chunk: Uint8Array): Uint8Array {
    // Only the first sequence can have begun in an earlier chunk; all other bytes that pass are of this one. A C1 control
    // counts twice: its two bytes pass as the two of ESC [.
    const passed = new Uint8Array(chunk.length + SGR_BYTES_MAX + 1);
    let length = 0;
    const pass = (...bytes: number[]) => {
      for (const byte of bytes) passed[length++] = byte;
    };
    for (const byte of chunk) this.#take(byte, pass);
    return passed.subarray(0, length);
  }

  #take(byte: number, pass: (...bytes: number[]) => void): void {
    switch (this.#state) {
      case "text":
        return this.#takeText(byte, pass);
      case "lead": {
        this.#state = "text";
        if (byte >= 0xa0 || byte < 0x80)
          return byte >= 0xa0 ? pass(C1_LEAD, byte) : this.#takeText(byte, pass);
        return this.#open(byte - 0x40); // U+009B is CSI, as ESC [ is
      }
      case "escape":
        return this.#open(byte);
      case "intermediate":
        if (byte < 0x20 || byte > 0x2f) this.#state = "text";
        return;
      case "csi":
        return this.#takeCsi(byte, pass);
      case "string":
        if (byte === BEL) this.#state = "text";
        else if (byte === ESC) this.#state = "stringEscape";
        else if (byte === C1_LEAD) this.#state = "stringLead";
        return;
      case "stringEscape":
        if (byte === 0x5c) this.#state = "text";
        else this.#open(byte);
        return;
      case "stringLead":
        this.#state = byte === 0x9c ? "text" : "string";
        return;
    }
  }

  #takeText(byte: number, pass: (...bytes: number[]) => void): void {
    if (byte === ESC) this.#state = "escape";
    else if (byte === C1_LEAD) this.#state = "lead";
    else if ((byte >= 0x20 && byte !== 0x7f) || PASSED_CONTROLS.has(byte)) pass(byte);
  }

  /** Takes the byte behind ESC. */
  #open(byte: number): void {
    this.#sequence = [ESC, 0x5b];
    if (byte === 0x5b) this.#state = "csi";
    else if (STRING_OPENERS.has(byte)) this.#state = "string";
    else if (byte === ESC) this.#state = "escape";
    else this.#state = byte >= 0x20 && byte <= 0x2f ? "intermediate" : "text";
  }

  #takeCsi(byte: number, pass: (...bytes: number[]) => void): void {
    if (byte === ESC) {
      this.#state = "escape";
      return;
    }
    const isFinal = byte >= 0x40 && byte <= 0x7e;
    if (this.#sequence.length > 0) this.#sequence.push(byte);
    if (!isFinal) {
      const isParameter = byte >= 0x30 && byte <= 0x3b; // digits, ":" and ";": all that SGR has
      if (!isParameter || this.#sequence.length >= SGR_BYTES_MAX) this.#sequence = [];
      return;
    }
    this.#state = "text";
    if (byte === 0x6d) pass(...this.#sequence);
  }
}
