/** What of a guest's output reaches a terminal. @module */
import assert from "node:assert/strict";
import { escapeControls, TerminalFilter } from "../../../src/cli/terminal_text.ts";
import { test } from "../../support/harness.ts";
import { seededRandom } from "../../support/random.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (chunk: Uint8Array) => new TextDecoder().decode(chunk);
const filtered = (input: string) => text(new TerminalFilter().filter(bytes(input)));

test("escapeControls() shows control characters, and leaves text, tabs and line feeds", () => {
  assert.equal(escapeControls("a\x1b[2Jb\x07\r\u009bc"), "a\\x1b[2Jb\\x07\\x0d\\x9bc");
  assert.equal(escapeControls("tab\there\nünï ✓"), "tab\there\nünï ✓");
});

test("TerminalFilter passes text and colours", () => {
  for (const input of ["plain\r\n\ttext ✓ é À", "\x1b[1;31mred\x1b[0m", "\x1b[38:2:1:2:3mx\x1b[m"])
    assert.equal(filtered(input), input);
});

test("TerminalFilter drops what moves, asks, or sets something", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["a\x1b[6nb", "ab"], // cursor position report
    ["a\x1b[cb", "ab"], // device attributes
    ["a\x1b[>cb\x1b[?25hc", "abc"],
    ["a\x1b]11;?\x07b", "ab"], // colour query
    ["a\x1b]0;title\x1b\\b", "ab"],
    ["a\x1bP$qm\x1b\\b", "ab"], // DECRQSS
    ["a\x1b[2J\x1b[1;1Hb", "ab"],
    ["a\x1bcb\x1b(0c\x1b#8d", "abcd"], // reset, character sets, alignment test
    ["a\u009b6nb\u009d0;t\u009cc", "abc"], // the same as C1 controls
    ["a\x05b\x07c\x08d\x7fe", "abcde"], // ENQ asks for an answer, too
    ["a\x1b[31\x1b[0mb", "a\x1b[0mb"], // a sequence that another one cuts off
    ["a\x1b[?1;2mb", "ab"], // not SGR, though it ends like it
    [`a\x1b[${"1;".repeat(100)}mb`, "ab"],
  ];
  for (const [input, expected] of cases) assert.equal(filtered(input), expected, JSON.stringify(input));
});

test("TerminalFilter gives the same for every split into chunks", () => {
  const random = seededRandom("TerminalFilter");
  const alphabet = [
    "\x1b",
    "[",
    "]",
    "m",
    "n",
    "1",
    ";",
    "\x07",
    "\\",
    "P",
    "é",
    "\u009b",
    "\u009c",
    "a",
    "\n",
    "(",
    "✓",
  ];
  for (let round = 0; round < 2000; round++) {
    const input = bytes(Array.from({ length: 24 }, () => random.pick(alphabet)).join(""));
    const whole = text(new TerminalFilter().filter(input));
    const filter = new TerminalFilter();
    const parts: number[] = [];
    for (let at = 0; at < input.length; ) {
      const size = random.integer(1, 5);
      parts.push(...filter.filter(input.subarray(at, at + size)));
      at += size;
    }
    assert.equal(text(Uint8Array.from(parts)), whole, JSON.stringify(text(input)));
    const withoutColours = whole.replaceAll(/\p{Cc}\[[\d:;]*m/gu, "");
    assert.doesNotMatch(withoutColours, /[^\P{Cc}\n]/u, JSON.stringify(whole));
  }
});
