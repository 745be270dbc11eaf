/** Back-pressure, colour, and readers that go away. @module */
import assert from "node:assert/strict";
import { BrokenPipeError, Output } from "../../../src/cli/output.ts";
import { MemoryStream } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";

test("Output has colour on a terminal that has not refused it", () => {
  const cases = [
    [true, {}, true],
    [true, { NO_COLOR: "" }, true],
    [true, { NO_COLOR: "1" }, false],
    [true, { TERM: "dumb" }, false],
    [false, {}, false],
  ] as const;
  for (const [isTTY, environment, expected] of cases) {
    const output = new Output(new MemoryStream({ isTTY }), environment);
    assert.equal(output.hasColour, expected, JSON.stringify({ isTTY, environment }));
    assert.equal(output.style("red", "x"), expected ? "\x1b[31mx\x1b[39m" : "x");
  }
});

test("Output.write() resolves when the stream has taken the chunk", async () => {
  let taken: ((error?: Error | null) => void) | undefined;
  const output = new Output({
    write: (_chunk, callback) => {
      taken = callback;
      return true;
    },
    on: () => {},
  });
  let isDone = false;
  const written = output.write("x").then(() => {
    isDone = true;
  });
  await Promise.resolve();
  assert.equal(isDone, false);
  taken?.();
  await written;
});

test("Output.write() rejects once nobody reads, and tells so once", async () => {
  const stream = new MemoryStream();
  const output = new Output(stream);
  let broken = 0;
  output.onBroken = () => broken++;
  await output.write("kept");
  stream.failure = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
  await assert.rejects(output.write("lost"), BrokenPipeError);
  await assert.rejects(output.line("lost"), BrokenPipeError);
  await output.flush();
  assert.deepEqual([stream.text, broken], ["kept", 1]);
});

test("Output takes a terminal that does not say its size for one of 80 columns", () => {
  assert.equal(new Output(new MemoryStream({ columns: 0 })).columns, 80);
  assert.equal(new Output(new MemoryStream({ columns: 132 })).columns, 132);
});

test("Output.write() rejects with what else the system says", async () => {
  const stream = new MemoryStream();
  const output = new Output(stream);
  output.onBroken = () => assert.fail("there is a reader");
  stream.failure = Object.assign(new Error("no space"), { code: "ENOSPC" });
  await assert.rejects(output.write("lost"), { code: "ENOSPC" });
  stream.failure = undefined;
  await output.write("kept");
  assert.equal(stream.text, "kept");
});
