/**
 * How often tests do what they do many times.
 *
 * @module
 */
import assert from "node:assert/strict";

/** The whole number above zero that an environment variable holds; `fallback` if it is not set. */
export function countFrom(variable: string, fallback: number): number {
  const given = process.env[variable];
  const count = given === undefined ? fallback : Number(given);
  // Anything else would be a loop that does nothing, and a test that passes.
  assert.ok(Number.isSafeInteger(count) && count > 0, `${variable}=${given} is no count`);
  return count;
}
