/**
 * What a program has switched on in a terminal by escape sequences and has not switched off yet: the alternate screen, the
 * reporting of the mouse, a hidden cursor.
 *
 * @module
 */

/** Private modes (`CSI ? n h` and `CSI ? n l`) that would disturb what uses the terminal next, as a terminal starts with them. */
const RESTING: Readonly<Record<string, "h" | "l">> = {
  "1": "l", // cursor keys of applications
  "5": "l", // reverse video
  "6": "l", // origin mode
  "7": "h", // lines wrap
  "9": "l", // mouse, as X10 reports it
  "25": "h", // the cursor is visible
  "47": "l", // alternate screen
  "66": "l", // keypad of applications
  "1000": "l", // mouse: presses
  "1001": "l", // mouse: highlights
  "1002": "l", // mouse: drags
  "1003": "l", // mouse: movements
  "1004": "l", // focus
  "1005": "l", // mouse in UTF-8
  "1006": "l", // mouse in SGR
  "1015": "l", // mouse in urxvt's form
  "1016": "l", // mouse in pixels
  "1047": "l", // alternate screen
  "1049": "l", // alternate screen, and the cursor is kept
  "2004": "l", // pasted text is bracketed
  "2026": "l", // updates are held back
  "2031": "l", // changes of the colour scheme
};

const ESCAPE = 0x1b;
/** Longer sequences than those that are looked for; what is longer is none of them. */
const SEQUENCE_CHARACTERS_MAX = 64;
/** Levels of the keyboard protocol that are remembered. Terminals keep fewer. */
const KEYBOARD_LEVELS_MAX = 16;

/** All that is understood: modes, the keyboard protocol of kitty and of xterm, the keypad, and resets. */
const SEQUENCE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with one
  /\x1b(?:\[\?(?<modes>[\d;]{1,40})(?<end>[hl])|\[(?<level>[<>])(?<count>\d{0,4})u|\[=(?<flags>\d{0,4})(?:;\d?)?u|\[>4(?:;(?<keys>\d?))?m|(?<keypad>[=>])|(?<reset>c|\[!p))/g;
/** A sequence that the next chunk may go on with. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: sequences begin with one
const UNFINISHED = /\x1b(?:\[[?<>=!]?[\d;]*)?$/;

/** Follows what is written to a terminal. The bytes come from a guest: what is kept of them is from {@linkcode RESTING}. */
export class TerminalModes {
  /** What is on, in the order in which it came: how to switch it on, and off. */
  readonly #changed = new Map<string, { readonly on: string; readonly off: string }>();
  /** The flags of each. */
  #keyboardLevels: readonly string[] = [];
  #carry = "";

  /** Looks at the next bytes. Returns whether {@linkcode undo} has changed. */
  follow(data: Uint8Array): boolean {
    if (this.#carry === "" && !data.includes(ESCAPE)) return false;
    const before = this.undo;
    const text = this.#carry + Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("latin1");
    for (const { groups = {} } of text.matchAll(SEQUENCE)) this.#apply(groups);
    const carry = UNFINISHED.exec(text.slice(-SEQUENCE_CHARACTERS_MAX))?.[0] ?? "";
    this.#carry = carry.length < SEQUENCE_CHARACTERS_MAX ? carry : "";
    return this.undo !== before;
  }

  /** The escape sequences that switch off what is on, the last first; `""` if nothing is. */
  get undo(): string {
    const changes = [...this.#changed.values()].reverse().map(({ off }) => off);
    const { length } = this.#keyboardLevels;
    return [length === 0 ? "" : `\x1b[<${length}u`, ...changes].join("");
  }

  /** The escape sequences that switch on again what is on. */
  get redo(): string {
    const levels = this.#keyboardLevels.map((flags) => `\x1b[>${flags}u`);
    return [...[...this.#changed.values()].map(({ on }) => on), ...levels].join("");
  }

  #apply({ modes, end, level, count, flags, keys, keypad, reset }: Record<string, string | undefined>): void {
    if (modes !== undefined) for (const mode of modes.split(";")) this.#setMode(mode, end);
    else if (level !== undefined) this.#setLevel(level, count);
    else if (flags !== undefined) this.#set("keyboard", flags, "0", (value) => `\x1b[=${value}u`);
    else if (keypad !== undefined) this.#set("keypad", keypad, ">", (value) => `\x1b${value}`);
    else if (reset !== undefined) this.#clear(reset);
    else this.#set("keys", keys ?? "", "", (value) => `\x1b[>4${value === "" ? "" : `;${value}`}m`);
  }

  #setMode(mode: string, end = ""): void {
    const resting = RESTING[mode];
    if (resting !== undefined) this.#set(mode, end, resting, (value) => `\x1b[?${mode}${value}`);
  }

  #setLevel(direction: string, count = ""): void {
    const levels = this.#keyboardLevels;
    if (direction === "<") this.#keyboardLevels = levels.slice(0, -Math.max(1, Number(count || 1)));
    else this.#keyboardLevels = [...levels, count].slice(-KEYBOARD_LEVELS_MAX);
  }

  #set(key: string, value: string, resting: string, write: (value: string) => string): void {
    this.#changed.delete(key);
    if (value !== resting) this.#changed.set(key, { on: write(value), off: write(resting) });
  }

  /** A soft reset leaves the screen and the mouse as they are. */
  #clear(reset: string): void {
    const cleared = reset === "c" ? [...this.#changed.keys()] : ["1", "6", "7", "25", "keypad"];
    for (const key of cleared) this.#changed.delete(key);
    if (reset === "c") this.#keyboardLevels = [];
  }
}
