import assert from "node:assert/strict";
import { LiveScreen } from "../../../src/cli/live_screen.ts";
import { Output } from "../../../src/cli/output.ts";
import { MemoryStream } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";

const ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l";
const LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l";

test("LiveScreen.draw() draws over what was there, and leaves out the lines that do not fit", async () => {
  const stream = new MemoryStream({ isTTY: true });
  const screen = await LiveScreen.open(new Output(stream));
  assert.equal(stream.text, ENTER);
  stream.text = "";
  await screen.draw("one\ntwo\n");
  assert.equal(stream.text, "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J");
  stream.text = "";
  const lines = Array.from({ length: stream.rows + 5 }, (_, index) => `line ${index}`);
  await screen.draw(`${lines.join("\n")}\n`);
  assert.equal(stream.text.split("\r\n").length, stream.rows);
  stream.text = "";
  await screen[Symbol.asyncDispose]();
  assert.equal(stream.text, `${LEAVE}${lines.join("\n")}\n`); // all of it now: the terminal scrolls
});

test("LiveScreen draws again when the terminal has another size, until it is left", async () => {
  const stream = new MemoryStream({ isTTY: true });
  const before = process.listenerCount("SIGWINCH");
  const screen = await LiveScreen.open(new Output(stream));
  await screen.draw("text\n");
  stream.text = "";
  process.emit("SIGWINCH");
  assert.equal(stream.text, "\x1b[Htext\x1b[K\x1b[J");
  await screen[Symbol.asyncDispose]();
  assert.equal(process.listenerCount("SIGWINCH"), before);
});
