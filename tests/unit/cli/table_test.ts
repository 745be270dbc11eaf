/** Pairs and tables, for people and for programs. @module */
import assert from "node:assert/strict";
import { Output } from "../../../src/cli/output.ts";
import { type Column, fittingColumns, formatPairs, formatTable } from "../../../src/cli/table.ts";
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

test("fittingColumns() leaves out whole columns, the last ones first", () => {
  type Row = readonly [string, string, string];
  const columns: Column<Row>[] = [
    { heading: "NAME", value: ([name]) => name },
    { heading: "CPU", value: ([, cpu]) => cpu, shown: ([, cpu], output) => output.style("red", cpu) },
    { heading: "MEMORY", value: ([, , memory]) => memory, align: "right" },
  ];
  const rows: Row[] = [["a-long-name", "12345", "1"]];
  const headingsAt = (width: number) => {
    const terminal = new Output(new MemoryStream({ isTTY: true, columns: width }), { TERM: "xterm" });
    const fitting = fittingColumns(terminal, columns, rows);
    const plain = new Output(new MemoryStream({ isTTY: true, columns: width }), { NO_COLOR: "1" });
    if (fitting.length > 1)
      for (const line of formatTable(plain, fitting, rows, "").split("\n"))
        assert.ok(line.length <= width, line);
    return fitting.map(({ heading }) => heading).join();
  };
  assert.equal(headingsAt(28), "NAME,CPU,MEMORY"); // 11 + 3 + 5 + 3 + 6
  assert.equal(headingsAt(27), "NAME,CPU");
  assert.equal(headingsAt(19), "NAME,CPU");
  assert.equal(headingsAt(18), "NAME");
  assert.equal(headingsAt(5), "NAME");
});
