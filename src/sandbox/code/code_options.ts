/** Options of running code, and how they are checked. @module */
import { z } from "zod";
import { MiB } from "../../base/bytes.ts";
import { withoutUndefined } from "../../base/defined.ts";
import { type ConfigIssue, InvalidConfigError } from "../../base/errors.ts";
import { checkConfig, parseConfig } from "../../base/parse_config.ts";
import { noNul } from "../../options/env.ts";
import { execSchema } from "../exec/exec_options.ts";
import { type CodeLanguage, LANGUAGES } from "./language.ts";

/** How much of each stream is kept unless said otherwise. */
export const CODE_OUTPUT_BYTES_MAX: number = MiB;
/** The longest source. A shell reads it byte by byte. */
export const SOURCE_BYTES_MAX: number = 4 * MiB;

/** What is set when an interpreter starts. */
export interface CodeSessionOptions {
  /** Environment variables, added to those of the sandbox and the image. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Working directory, an absolute path. @default the sandbox's, else the image's, else `/` */
  readonly cwd?: string | undefined;
  /** User to run as, as for `exec()`. @default the sandbox's, else the image's, else root */
  readonly user?: string | undefined;
  /**
   * The program: a name in `PATH` or a path, such as `"/venv/bin/python"`, `"bash"`. It has to understand the same language.
   * @default `python3`, `node` or `sh`
   */
  readonly interpreter?: string | undefined;
}

/** Options of one piece of code in a session that is there. */
export interface CodeCallOptions {
  /**
   * Milliseconds from the call, 1 to 2147483647, the wait for earlier calls of the session included. Then the code is interrupted, and
   * the call rejects with `CodeTimeoutError` (`codeTimeout`). @default no limit
   */
  readonly timeoutMs?: number | undefined;
  /** Interrupts the code when it fires, and rejects the call with `AbortedError` (`aborted`). */
  readonly signal?: AbortSignal | undefined;
  /** How many bytes of stdout, and as many of stderr, the result keeps; the rest is counted in it. @default {1_048_576} */
  readonly outputBytesMax?: number | undefined;
  /**
   * Called with all standard output as it comes. If it returns a promise, the code waits until that settles, as at a full pipe; a
   * rejection ends the call and its interpreter.
   */
  readonly onStdout?: ((text: string) => void | Promise<void>) | undefined;
  /** The same for standard error. */
  readonly onStderr?: ((text: string) => void | Promise<void>) | undefined;
}

/** Options of `runCode()`. Options of a session apply when it begins; later calls may repeat them, but not change them. */
export interface RunCodeOptions extends CodeSessionOptions, CodeCallOptions {
  /**
   * Keeps variables, functions and imports for later calls with the same name. It begins with its first call. Without a name the code has
   * an interpreter of its own, which ends with it.
   */
  readonly session?: string | undefined;
}

/** Options of `openCodeSession()`. */
export interface OpenCodeSessionOptions extends CodeSessionOptions {
  /** Its name, for `runCode()`. @default a new one */
  readonly name?: string | undefined;
  /** Gives up the start when it fires. */
  readonly signal?: AbortSignal | undefined;
}

type Callback = (text: string) => void | Promise<void>;

const { env, cwd, user, timeoutMs, signal, outputBytesMax } = execSchema.shape;
const callback = z.custom<Callback>((value) => typeof value === "function", "must be a function").optional();
const name = noNul.min(1).max(200);
const start = { env, cwd, user, interpreter: noNul.min(1).optional() };
const call = { timeoutMs, signal, outputBytesMax, onStdout: callback, onStderr: callback };

const callSchema = z.strictObject(call);
const runSchema = z.strictObject({ ...start, ...call, session: name.optional() });
const openSchema = z.strictObject({ ...start, signal, name: name.optional() });

/** Names the fields of {@linkcode CodeSessionOptions}. */
const START_FIELDS = ["env", "cwd", "user", "interpreter"] as const;

/** Options of `runCode()`, separated by their purpose. @throws {InvalidConfigError} */
export function parseRunCode(language: unknown, source: unknown, options: RunCodeOptions) {
  const { data, issues } = checkConfig(runSchema, withoutUndefined(options), "options");
  const all = [...languageIssues(language), ...sourceIssues(language, source), ...issues];
  if (data === undefined || all.length > 0) throw new InvalidConfigError(all);
  const { session, env, cwd, user, interpreter, ...call } = data;
  return { session, start: withoutUndefined({ env, cwd, user, interpreter }), call };
}

/** @throws {InvalidConfigError} */
export function parseOpenSession(language: unknown, options: OpenCodeSessionOptions) {
  const { data, issues } = checkConfig(openSchema, withoutUndefined(options), "options");
  const all = [...languageIssues(language), ...issues];
  if (data === undefined || all.length > 0) throw new InvalidConfigError(all);
  const { name, signal, ...start } = data;
  return { name, signal, start };
}

/** @throws {InvalidConfigError} */
export function parseCall(
  language: CodeLanguage,
  source: unknown,
  options: CodeCallOptions,
): CodeCallOptions {
  const issues = sourceIssues(language, source);
  if (issues.length > 0) throw new InvalidConfigError(issues);
  return parseConfig(callSchema, withoutUndefined(options), "options");
}

/** @throws {InvalidConfigError} if a call has other start options than the session it names. */
export function checkSameStart(
  session: { readonly name: string; readonly language: CodeLanguage; readonly start: CodeSessionOptions },
  language: CodeLanguage,
  asked: CodeSessionOptions,
): void {
  const differs = START_FIELDS.filter(
    (field) => asked[field] !== undefined && sortedJson(asked[field]) !== sortedJson(session.start[field]),
  );
  const problem = `must be the same as in session ${JSON.stringify(session.name)}: close it, or use another name`;
  const fields = language === session.language ? differs : ["language", ...differs];
  const issues = fields.map((field) => ({ field, problem }));
  if (issues.length > 0) throw new InvalidConfigError(issues);
}

function sortedJson(value: string | Readonly<Record<string, string>> | undefined): string | undefined {
  if (typeof value !== "object") return JSON.stringify(value);
  return JSON.stringify(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function languageIssues(language: unknown): ConfigIssue[] {
  if (typeof language === "string" && Object.hasOwn(LANGUAGES, language)) return [];
  const known = Object.keys(LANGUAGES).map((name) => JSON.stringify(name));
  return [
    { field: "language", problem: `must be ${known.join(" or ")}: current value is ${String(language)}` },
  ];
}

function sourceIssues(language: unknown, source: unknown): ConfigIssue[] {
  const problem = sourceProblem(language, source);
  return problem === undefined ? [] : [{ field: "source", problem }];
}

function sourceProblem(language: unknown, source: unknown): string | undefined {
  if (typeof source !== "string") return "must be a string";
  if (!source.isWellFormed()) return "must not contain half of a surrogate pair";
  if (language === "sh" && source.includes("\0")) return "must not contain a NUL byte";
  // A character has at most three bytes for each of its units.
  if (source.length * 3 <= SOURCE_BYTES_MAX || new TextEncoder().encode(source).length <= SOURCE_BYTES_MAX)
    return undefined;
  return `must have at most ${SOURCE_BYTES_MAX} bytes: write it to a file with fs()`;
}
