/**
 * Checks what callers give against a schema, and says what is wrong with it in one voice: the rule, then the value.
 *
 * @module
 */
import type { z } from "zod";
import { type ConfigIssue, InvalidConfigError } from "./errors.ts";

/** Characters of a text that are shown of it. */
const SHOWN_CHARS_MAX = 60;
/** What may be secret, and is not shown. */
const SECRET_FIELDS: readonly unknown[] = ["env", "stdin"];

const KINDS: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

/**
 * What `schema` makes of `value`.
 *
 * @param whole What `value` as a whole is called.
 * @throws {InvalidConfigError} naming every field that is wrong.
 */
export function parseConfig<T extends z.ZodType>(schema: T, value: unknown, whole: string): z.output<T> {
  const { data, issues } = checkConfig(schema, value, whole);
  if (data === undefined) throw new InvalidConfigError(issues);
  return data;
}

/** {@linkcode parseConfig} for a caller who finds more that is wrong; `data` is there if there are no issues. */
export function checkConfig<T extends z.ZodType>(
  schema: T,
  value: unknown,
  whole: string,
): { readonly data: z.output<T> | undefined; readonly issues: readonly ConfigIssue[] } {
  const parsed = schema.safeParse(value, { error: ruleOf, reportInput: true });
  if (parsed.success) return { data: parsed.data, issues: [] };
  const issues = parsed.error.issues.flatMap((issue) => toConfigIssues(issue, [], whole));
  return { data: undefined, issues };
}

/** The rule that was broken, where the schema does not say it in words of its own. */
function ruleOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case "invalid_type":
      return issue.input === undefined
        ? "must be given"
        : `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(" or ")}`;
    case "too_small":
      return isEmpty(issue) ? "must not be empty" : `must ${extent(issue.origin, "least", issue.minimum)}`;
    case "too_big":
      return `must ${extent(issue.origin, "most", issue.maximum)}`;
    default:
      return undefined;
  }
}

function isEmpty({ origin, minimum }: z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall>): boolean {
  return minimum === 1 && (origin === "string" || origin === "array");
}

function extent(origin: string, bound: "least" | "most", limit: number | bigint): string {
  if (origin === "string") return `have at ${bound} ${limit} characters`;
  if (origin === "array") return `have at ${bound} ${limit} entries`;
  return `be at ${bound} ${limit}`;
}

function toConfigIssues(
  issue: z.core.$ZodIssue,
  above: readonly PropertyKey[],
  whole: string,
): readonly ConfigIssue[] {
  const path = [...above, ...issue.path];
  const field = path.length === 0 ? whole : path.map(String).join(".");
  if (issue.code === "unrecognized_keys")
    return issue.keys.map((key) => ({
      field: [...path, key].map(String).join("."),
      problem: "is not known",
    }));
  if (issue.code === "invalid_union") {
    // Of a choice of forms, the one that fits but for a part of it is what was meant.
    const meant = issue.errors.find((form) => form.length > 0 && form.every((part) => part.path.length > 0));
    if (meant !== undefined) return meant.flatMap((part) => toConfigIssues(part, path, whole));
  }
  return [{ field, problem: problemOf(issue) + currentValue(path, issue.input) }];
}

function problemOf(issue: z.core.$ZodIssue): string {
  // Of a key, zod itself says only that it is wrong; the rule that it breaks is in there.
  if (issue.code === "invalid_key") return issue.issues[0]?.message ?? issue.message;
  if (issue.code !== "invalid_union" || issue.errors.length === 0 || /^must /.test(issue.message))
    return issue.message;
  return issue.errors.map((form) => form[0]?.message ?? "").join(", or ");
}

function currentValue(path: readonly PropertyKey[], value: unknown): string {
  const isWhole = path.length === 0 && typeof value === "object" && value !== null;
  if (value === undefined || isWhole || SECRET_FIELDS.includes(path[0])) return "";
  const text = shown(value);
  return `: current value is ${text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text}`;
}

function shown(value: unknown): string {
  if (typeof value !== "string" && (typeof value !== "object" || value === null)) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return "an object"; // with a circle or a bigint in it
  }
}
