/**
 * Checks what callers give against a schema. Every problem is said in the same form: the rule, then the current value.
 *
 * @module
 */
import type { z } from "zod";
import { type ConfigIssue, InvalidConfigError } from "./errors.ts";
import { suggestOption } from "./suggest_option.ts";

/** How many characters of a value are shown. */
const SHOWN_CHARS_MAX = 60;
/** Fields whose value may be secret, and is not shown. */
const SECRET_FIELDS: readonly unknown[] = ["env", "stdin", "content", "contentBytes"];

/** How many unknown fields of one object are named. */
const UNKNOWN_FIELDS_MAX = 10;

/** Which fields an object may have, by the list of those that are unknown in it. */
type KnownFields = Map<readonly string[], readonly string[]>;

const KINDS: Readonly<Record<string, string>> = {
  int: "an integer",
  number: "a number",
  string: "a string",
  boolean: "a boolean",
  array: "an array",
  object: "an object",
  record: "an object",
};

/**
 * Parses `value` by `schema`.
 *
 * @param whole What `value` as a whole is called in errors, e.g. `"options"`.
 * @throws {InvalidConfigError} naming every field that is wrong.
 */
export function parseConfig<T extends z.ZodType>(schema: T, value: unknown, whole: string): z.output<T> {
  const { data, issues } = checkConfig(schema, value, whole);
  if (data === undefined) throw new InvalidConfigError(issues);
  return data;
}

/** Like {@linkcode parseConfig}, for a caller that adds issues of its own. `data` is set if there are no issues. */
export function checkConfig<T extends z.ZodType>(
  schema: T,
  value: unknown,
  whole: string,
): { readonly data: z.output<T> | undefined; readonly issues: readonly ConfigIssue[] } {
  const known: KnownFields = new Map();
  const error = (issue: z.core.$ZodRawIssue) => {
    if (issue.code === "unrecognized_keys") known.set(issue.keys, fieldsOf(issue.inst));
    return ruleOf(issue);
  };
  const parsed = schema.safeParse(value, { error, reportInput: true });
  if (parsed.success) return { data: parsed.data, issues: [] };
  const issues = parsed.error.issues.flatMap((issue) => toConfigIssues(issue, [], whole, known));
  return { data: undefined, issues };
}

/** @throws {InvalidConfigError} if `value` is not an object, or an array. */
export function checkObject(value: unknown, whole: string): asserts value is object {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  const problem = value === undefined ? "must be given" : `must be an object${currentValue([], value)}`;
  throw new InvalidConfigError([{ field: whole, problem }]);
}

/**
 * Checks that `value` is an object with no fields but `known`, for options whose values need no schema.
 *
 * @param known Its keys are the fields; `satisfies Record<keyof Options, true>` keeps it complete.
 * @throws {InvalidConfigError}
 */
export function checkFields(value: unknown, known: Readonly<Record<string, true>>, whole: string): void {
  checkObject(value, whole);
  const names = Object.keys(known);
  const unknown = Object.keys(value).filter((key) => !Object.hasOwn(known, key));
  if (unknown.length > 0) throw new InvalidConfigError(unknownFields([], whole, unknown, names));
}

/** The fields that the schema of an object names. */
function fieldsOf(schema: z.core.$ZodRawIssue["inst"]): readonly string[] {
  const def: object = schema?._zod.def ?? {};
  return "shape" in def && typeof def.shape === "object" && def.shape !== null ? Object.keys(def.shape) : [];
}

/** The rule that was broken, unless the schema has a message of its own. */
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
  known: KnownFields,
): readonly ConfigIssue[] {
  const path = [...above, ...issue.path];
  const field = path.length === 0 ? whole : path.map(String).join(".");
  if (issue.code === "unrecognized_keys")
    return unknownFields(path, field, issue.keys, known.get(issue.keys) ?? []);
  if (issue.code === "invalid_union") {
    const kind = issue.path.at(-1);
    if (kind !== undefined && kind === issue.discriminator && "options" in issue)
      return [{ field, problem: unknownKind(issue.input, kind, issue.options ?? []) }];
    // The form that was meant is the one with the fewest wrong parts.
    const [meant] = issue.errors
      .filter((form) => form.length > 0 && form.every(isOfAPart))
      .toSorted((a, b) => wrongParts(a) - wrongParts(b));
    if (meant !== undefined) return meant.flatMap((part) => toConfigIssues(part, path, whole, known));
  }
  return [{ field, problem: problemOf(issue) + currentValue(path, issue.input) }];
}

/** The problem of an object whose field `name` gives its kind. Shows no other field: it may be secret. */
function unknownKind(value: unknown, name: PropertyKey, options: readonly unknown[]): string {
  const given: unknown = typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
  const kinds = options.map(String);
  const meant = typeof given === "string" ? suggestOption(given, kinds) : undefined;
  const suggestion = meant === undefined ? "" : `, did you mean ${JSON.stringify(meant)}?`;
  return `must be one of ${kinds.map((kind) => JSON.stringify(kind)).join(", ")}${suggestion}${currentValue([name], given)}`;
}

/** Whether the value has the right type, and only something in it is wrong. */
function isOfAPart({ path, code }: z.core.$ZodIssue): boolean {
  return path.length > 0 || code === "unrecognized_keys";
}

function wrongParts(form: readonly z.core.$ZodIssue[]): number {
  return form.reduce((sum, issue) => sum + (issue.code === "unrecognized_keys" ? issue.keys.length : 1), 0);
}

function unknownFields(
  path: readonly PropertyKey[],
  whole: string,
  keys: readonly string[],
  known: readonly string[],
): readonly ConfigIssue[] {
  const named = keys.slice(0, UNKNOWN_FIELDS_MAX).map((key) => {
    const meant = suggestOption(key, known);
    const suggestion = meant === undefined ? "" : `: did you mean ${meant}?`;
    return { field: [...path, key].map(String).join("."), problem: `is not known${suggestion}` };
  });
  const rest = keys.length - named.length;
  return rest === 0 ? named : [...named, { field: whole, problem: `has ${rest} more unknown fields` }];
}

function problemOf(issue: z.core.$ZodIssue): string {
  // Zod says of a key only that it is wrong; the rule that the key breaks is in its inner issue.
  if (issue.code === "invalid_key") return issue.issues[0]?.message ?? issue.message;
  if (issue.code !== "invalid_union" || issue.errors.length === 0 || /^must /.test(issue.message))
    return issue.message;
  return issue.errors.map((form) => form[0]?.message ?? "").join(", or ");
}

function currentValue(path: readonly PropertyKey[], value: unknown): string {
  const isWhole = path.length === 0 && typeof value === "object" && value !== null;
  const isSecret =
    SECRET_FIELDS.includes(path[0]) ||
    SECRET_FIELDS.includes(path.at(-1)) ||
    path.includes("secrets") ||
    (path[0] === "network" && typeof value === "object"); // secrets may be in it
  if (value === undefined || isWhole || isSecret) return "";
  const text = shown(value);
  return `: current value is ${text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text}`;
}

function shown(value: unknown): string {
  if (typeof value === "function") return "a function"; // its source would help no reader
  if (typeof value !== "string" && (typeof value !== "object" || value === null)) return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return "an object"; // with a cycle or a bigint in it
  }
}
