/**
 * Lists: a table with headings for a person, tab-separated lines for a program, or JSON.
 *
 * @module
 */
import { stripVTControlCharacters } from "node:util";
import Table from "cli-table3";
import type { Output } from "./output.ts";

/** One column of a list. */
export interface Column<Row> {
  readonly heading: string;
  /** For programs: whole numbers, full digests, RFC 3339 times. */
  readonly value: (row: Row) => string | number;
  /** For people; without, the value. */
  readonly shown?: (row: Row, output: Output) => string;
  readonly align?: "right";
}

/** What may surround the cells of a table: nothing. */
const NO_BORDERS = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "   ",
} as const;

/** The rows as text, ready to be written. A person is told if there are none. */
export function formatTable<Row>(
  output: Output,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  empty: string,
): string {
  if (!output.isTerminal) {
    return rows.map((row) => `${columns.map(({ value }) => cell(value(row))).join("\t")}\n`).join("");
  }
  if (rows.length === 0) return `${empty}\n`;
  const table = plainTable(columns.map(({ align }) => align ?? "left"));
  table.push(columns.map(({ heading }) => output.style("bold", heading)));
  for (const row of rows) {
    table.push(columns.map(({ value, shown }) => shown?.(row, output) ?? cell(value(row))));
  }
  return trimLines(table.toString());
}

/** The columns that fit the terminal's width: the last ones are left out whole. The first always stays. */
export function fittingColumns<Row>(
  output: Output,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
): readonly Column<Row>[] {
  let width = 0;
  const end = columns.findIndex(({ heading, value, shown }, index) => {
    const cells = rows.map((row) => stripVTControlCharacters(shown?.(row, output) ?? cell(value(row))));
    width += Math.max(heading.length, ...cells.map((text) => text.length));
    if (index > 0) width += NO_BORDERS.middle.length;
    return index > 0 && width > output.columns;
  });
  return end === -1 ? columns : columns.slice(0, end);
}

/** Formats names with their values, leaving out values that are `undefined`. `styled` is what a terminal shows instead. */
export function formatPairs(
  output: Output,
  pairs: readonly (readonly [name: string, value: string | number | undefined, styled?: string])[],
): string {
  const known = pairs.flatMap(([name, value, styled]) =>
    value === undefined ? [] : [{ name, value: cell(value), styled }],
  );
  if (!output.isTerminal) return known.map(({ name, value }) => `${name}\t${value}\n`).join("");
  const table = plainTable(["left", "left"]);
  for (const { name, value, styled } of known) table.push([output.style("bold", name), styled ?? value]);
  return trimLines(table.toString());
}

/** One value as JSON, over several lines. */
export function formatJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function plainTable(colAligns: ("left" | "right")[]): InstanceType<typeof Table> {
  return new Table({
    chars: NO_BORDERS,
    style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
    colAligns,
  });
}

function trimLines(text: string): string {
  return `${text
    .split("\n")
    .map((line) => line.trimEnd())
    .join("\n")}\n`;
}

/** One line, and no control character that could play tricks with a terminal. */
function cell(value: string | number): string {
  return String(value).replaceAll(/\p{Cc}/gu, " ");
}
