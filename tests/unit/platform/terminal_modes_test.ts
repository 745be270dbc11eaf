/** What programs leave switched on. @module */
import assert from "node:assert/strict";
import { TerminalModes } from "../../../src/platform/terminal_modes.ts";
import { test } from "../../support/harness.ts";

function follow(...chunks: readonly string[]): TerminalModes {
  const modes = new TerminalModes();
  for (const chunk of chunks) modes.follow(new TextEncoder().encode(chunk));
  return modes;
}

test("TerminalModes.undo switches off what is on, the last first", () => {
  const vi = follow("\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l text \x1b[31m");
  assert.equal(vi.undo, "\x1b[?25h\x1b>\x1b[?1l\x1b[?1049l");
  assert.equal(vi.redo, "\x1b[?1049h\x1b[?1h\x1b=\x1b[?25l");
  assert.equal(follow("\x1b[?1000;1006h").undo, "\x1b[?1006l\x1b[?1000l");
});

test("TerminalModes.undo is empty once a program has switched off all by itself", () => {
  assert.equal(follow("\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l").undo, "");
  assert.equal(follow("\x1b[?1049h\x1b[>1u\x1b[?2004h\x1b=", "\x1bc").undo, "");
  assert.equal(follow("\x1b[?25l\x1b[?1049h", "\x1b[!p").undo, "\x1b[?1049l");
});

test("TerminalModes.follow() finds a sequence in any two pieces, and says whether the undoing changed", () => {
  const sequence = "\x1b[?1;2004h";
  for (let at = 1; at < sequence.length; at++) {
    assert.equal(follow(sequence.slice(0, at), sequence.slice(at)).undo, "\x1b[?2004l\x1b[?1l", `${at}`);
  }
  const modes = new TerminalModes();
  const changes = ["text", "\x1b[?25l", "\x1b[?25l", "\x1b[1m", "\x1b[?25h"].map((text) =>
    modes.follow(new TextEncoder().encode(text)),
  );
  assert.deepEqual(changes, [false, true, false, false, true]);
});

test("TerminalModes.undo takes back levels and flags of the keyboard protocols", () => {
  assert.equal(follow("\x1b[>1u\x1b[>5u\x1b[<u").undo, "\x1b[<1u");
  assert.equal(follow("\x1b[?1049h\x1b[>1u\x1b[>5u").redo, "\x1b[?1049h\x1b[>1u\x1b[>5u");
  assert.equal(follow("\x1b[=5;1u").undo, "\x1b[=0u");
  assert.equal(follow("\x1b[>4;2m").undo, "\x1b[>4m");
  assert.equal(follow("\x1b[>4;2m", "\x1b[>4m").undo, "");
});

test("TerminalModes keeps a bounded amount of what a guest writes", () => {
  const hostile = [
    "\x1b[?".padEnd(100_000, "1;"),
    `\x1b[?${"25;".repeat(100_000)}l`,
    `\x1b[=${"9".repeat(100_000)}u`,
    "\x1b[>1u".repeat(100_000),
    ...Array.from({ length: 3000 }, (_, mode) => `\x1b[?${mode}h\x1b[?${mode}l`),
  ];
  const { undo, redo } = follow(...hostile);
  assert.ok(undo.length + redo.length < 500, `${undo.length} ${redo.length}`);
});
