/**
 * What an interpreter tells of one call besides output: the form of it, and its limits. The guest is hostile: all of it is checked.
 *
 * @module
 */
import { z } from "zod";
import { decodeUtf8, MiB } from "../../base/bytes.ts";

/** How much of a text (a result's, a message, a traceback) a driver sends, in characters. */
export const REPORT_TEXT_CHARS_MAX: number = 256 * 1024;
/** A value whose JSON is longer is left out, in characters. */
export const REPORT_VALUE_CHARS_MAX: number = 1024 * 1024;
/** A whole report: two texts and a value, each character as long as JSON can make it. A longer one ends the session. */
export const REPORT_BYTES_MAX: number = 16 * MiB;

/** Plain data, as `JSON.parse` gives it. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

/** The value of the last expression. */
export interface CodeValue {
  /** As the language shows it: Python's `repr()`, Node's `util.inspect()`; a string of JavaScript as it is. */
  readonly text: string;
  /** How many characters of {@linkcode text} are left out, beyond 262,144. */
  readonly textOmitted: number;
  /**
   * The value itself, if JSON can express it in at most 1,048,576 characters; `undefined` otherwise. Integers beyond
   * 2^53 lose digits here, and have all of them in the text.
   */
  readonly value: JsonValue | undefined;
}

/** What the code threw, and did not catch. */
export interface CodeError {
  /** The class of the exception, e.g. `"ZeroDivisionError"`. */
  readonly name: string;
  /** What it says. */
  readonly message: string;
  /** Where it was thrown, as the language shows it, in lines. */
  readonly traceback: string;
}

/** A report, checked. */
export interface CodeReport {
  readonly result: CodeValue | undefined;
  readonly error: CodeError | undefined;
}

const text = z.string().max(REPORT_TEXT_CHARS_MAX);
const reportSchema = z.strictObject({
  result: z
    .strictObject({
      text,
      textOmitted: z.int().min(0),
      json: z.string().max(REPORT_VALUE_CHARS_MAX).optional(),
    })
    .optional(),
  error: z.strictObject({ name: text, message: text, traceback: text }).optional(),
});

/** Checks a report; `undefined` if it is invalid. */
export function decodeReport(bytes: Uint8Array): CodeReport | undefined {
  try {
    const parsed = reportSchema.safeParse(JSON.parse(decodeUtf8(bytes)));
    if (!parsed.success) return undefined;
    const { result, error } = parsed.data;
    return { result: result === undefined ? undefined : toCodeValue(result), error };
  } catch {
    return undefined; // it is not JSON
  }
}

function toCodeValue(result: { text: string; textOmitted: number; json?: string | undefined }): CodeValue {
  const { text, textOmitted, json } = result;
  return { text, textOmitted, value: json === undefined ? undefined : (JSON.parse(json) as JsonValue) };
}
