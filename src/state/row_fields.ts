/** Columns of a row, by what they hold. @module */
import { assert } from "../base/assert.ts";
import type { Row } from "./database.ts";

export function text(row: Row, column: string): string {
  const value = row[column];
  assert(typeof value === "string", `column ${column} is text`);
  return value;
}

export function optionalText(row: Row, column: string): string | undefined {
  return row[column] === null ? undefined : text(row, column);
}

export function number(row: Row, column: string): number {
  const value = row[column];
  assert(typeof value === "number", `column ${column} is a number`);
  return value;
}

export function optionalNumber(row: Row, column: string): number | undefined {
  return row[column] === null ? undefined : number(row, column);
}

export function time(row: Row, column: string): Date {
  return dateOf(number(row, column));
}

export function optionalTime(row: Row, column: string): Date | undefined {
  const milliseconds = optionalNumber(row, column);
  return milliseconds === undefined ? undefined : dateOf(milliseconds);
}

/** A number that is no time of a `Date` counts as 1970: callers may format every date. */
function dateOf(milliseconds: number): Date {
  const date = new Date(milliseconds);
  return Number.isNaN(date.getTime()) ? new Date(0) : date;
}
