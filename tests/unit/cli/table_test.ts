/** Pairs and tables, for people and for programs. @module */
import assert from "node:assert/strict";
import { Output } from "../../../src/cli/output.ts";
import { formatPairs } from "../../../src/cli/table.ts";
import { MemoryStream } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";

test("formatPairs() keeps colours of ours, and no control character of a value", () => {
  const terminal = new Output(new MemoryStream({ isTTY: true }), { TERM: "xterm" });
  const status = terminal.style("green", "running");
  const text = formatPairs(terminal, [
    ["status", "running", status],
    ["cmd", "a\x1b[2Jb"],
  ]);
  assert.ok(text.includes(status), JSON.stringify(text));
  assert.ok(text.includes("a [2Jb"), JSON.stringify(text));
  const pipe = new Output(new MemoryStream());
  assert.equal(formatPairs(pipe, [["status", "running", status]]), "status\trunning\n");
});
