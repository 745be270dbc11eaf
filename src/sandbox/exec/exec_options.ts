/**
 * How one program is run: its options, and the defaults that image and sandbox add.
 *
 * @module
 */
import { z } from "zod";
import type { ExecStart } from "../../agent/exec_session.ts";
import { encodeUtf8, MiB } from "../../base/bytes.ts";
import { withoutUndefined } from "../../base/defined.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { checkConfig, checkObject, parseConfig } from "../../base/parse_config.ts";
import { TIMER_MS_MAX } from "../../base/wait.ts";
import { noNul } from "../../options/env.ts";
import { formatRlimit, type RlimitOptions, rlimitsSchema } from "../../options/rlimits.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { DEFAULT_TERMINAL_SIZE, type TerminalSize } from "../../platform/terminal.ts";
import { NoDefaultCommandError } from "../errors.ts";
import type { ExecInput } from "./exec_input.ts";

/**
 * What a program reads from its standard input: nothing (`"null"`), what is written to `ExecHandle.stdin` (`"pipe"`), or
 * these bytes and then the end. A stream is read as fast as the program reads, and cancelled when the program ends.
 */
export type StdinMode =
  | "null"
  | "pipe"
  | { readonly bytes: Uint8Array }
  | Uint8Array
  | ReadableStream<Uint8Array>;

/**
 * Values for {@linkcode ExecOptions.stdin}, with the names of the known SDK.
 *
 * @example
 * ```ts
 * const sorted = await sandbox.exec("sort", [], { stdin: Stdin.bytes("b\na\n") });
 * console.log(sorted.stdout()); // a, b
 * ```
 */
export const Stdin: {
  /** No input: the program reads from `/dev/null`. */
  null(): StdinMode;
  /** A pipe, written by `ExecHandle.stdin` or `takeStdin()`. */
  pipe(): StdinMode;
  /** This text (as UTF-8) or these bytes, and then the end of input. */
  bytes(data: Uint8Array | string): StdinMode;
} = {
  null: () => "null",
  pipe: () => "pipe",
  bytes: (data) => ({ bytes: typeof data === "string" ? encodeUtf8(data) : data }),
};

/** One argument of a program. Bytes are for what is not UTF-8, such as some file names. */
export type ExecArgument = string | Uint8Array;

/** Options of one program. */
export interface ExecOptions {
  /** Environment variables, added to those of the sandbox and the image; the same name replaces. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Working directory, an absolute path. @default the sandbox's, else the image's, else `/` */
  readonly cwd?: string | undefined;
  /** User to run as: `name`, `uid`, `name:group` or `uid:gid`. @default the sandbox's, else the image's, else root */
  readonly user?: string | undefined;
  /** Standard input: see {@linkcode StdinMode}. @default `"null"` for `exec()`, `"pipe"` for `execStream()` */
  readonly stdin?: StdinMode | undefined;
  /**
   * Runs the program on a pseudo-terminal, of 24 rows and 80 columns unless said otherwise (each 1 to 65535). All output
   * then arrives as stdout. @default {false}
   */
  readonly tty?: boolean | TerminalSize | undefined;
  /**
   * Milliseconds from the call, 1 to 2147483647. Then the process group is killed, and the call rejects with
   * `ExecTimeoutError` (`execTimeout`), even if the program has not started yet. @default no limit
   */
  readonly timeoutMs?: number | undefined;
  /** Resource limits by name (`nofile`, `cpu`, `as` …), over those of the sandbox. `hard` defaults to `soft`. */
  readonly rlimits?: Readonly<Record<string, RlimitOptions>> | undefined;
  /**
   * How many bytes of stdout and stderr together are collected, before the program is killed and the call rejects with
   * `ExecOutputLimitError` (`execOutputLimit`). Streams and events have no limit. @default {67_108_864}
   */
  readonly outputBytesMax?: number | undefined;
  /**
   * Keeps the program running when its handle is disposed of, and when this process ends. Its output is then only in the
   * log. Cannot be combined with `timeoutMs`. @default {false}
   */
  readonly detached?: boolean | undefined;
  /** Kills the process group when it fires, and rejects the call with `AbortedError` (`aborted`). */
  readonly signal?: AbortSignal | undefined;
}

/** Options of one program that is streamed. */
export interface ExecStreamOptions extends ExecOptions {
  /**
   * What happens if the program cannot be started: the call rejects with `ExecFailedError`, or it gives a handle whose one
   * event is `failed`, for who passes events on. `wait()`, `collect()` and the streams then have that error.
   * @default {"reject"}
   */
  readonly startFailure?: StartFailure | undefined;
}

/** How the failure of a start is told: see {@linkcode ExecStreamOptions}. */
export type StartFailure = "reject" | "event";

/** A program with its arguments and options in one object, for `exec()`. */
export interface ExecProgram extends ExecOptions {
  /** The program's name, or its path. */
  readonly command: string;
  /** Its arguments. @default none */
  readonly args?: Iterable<ExecArgument> | undefined;
}

/** The same for `execStream()`. */
export interface ExecStreamProgram extends ExecProgram, ExecStreamOptions {}

/** The words of a program in one object with its options. */
interface ProgramWords {
  readonly command: string;
  readonly args?: Iterable<ExecArgument> | undefined;
}

/** A program, its arguments and its options, whichever way they were given. @throws {InvalidConfigError} */
export function programOfCall<O extends object = ExecOptions>(
  first: string | (O & ProgramWords),
  args: Iterable<ExecArgument> | undefined,
  options: O | undefined,
): { readonly command: string; readonly args: Iterable<ExecArgument>; readonly options: O | ExecOptions } {
  if (typeof first !== "object" || first === null)
    return {
      command: first,
      args: args === undefined ? [] : args,
      options: options === undefined ? {} : options,
    };
  if (args !== undefined || options !== undefined) {
    const problem = "must be fields of the object that is the first argument";
    throw new InvalidConfigError([{ field: args === undefined ? "options" : "args", problem }]);
  }
  const { command, args: words = [], ...rest } = first;
  return { command, args: words, options: rest };
}

/** A program as it is sent to the guest, and how the client handles it. */
export interface ExecRequest {
  readonly start: ExecStart;
  /** What errors call the program. */
  readonly label: string;
  readonly input: ExecInput | undefined;
  readonly timeoutMs: number | undefined;
  readonly outputBytesMax: number;
  readonly signal: AbortSignal | undefined;
  readonly startFailure: StartFailure;
  /** Name of the sandbox if it has no network, for a program that looks for one: see {@linkcode MissingNetwork}. */
  readonly offline: string | undefined;
}

export const OUTPUT_BYTES_MAX: number = 64 * MiB;

const STDIN_RULE =
  'must be "null", "pipe", a Uint8Array or a ReadableStream of them; for text, Stdin.bytes(text)';
const count = z.int().min(1).max(65_535);
export const terminalSizeSchema = z.strictObject({ rows: count, columns: count });
/** Of {@linkcode ExecOptions}. */
export const execSchema = z.strictObject({
  env: z.record(z.string().regex(/^[^=\0]+$/, "must be a variable's name"), noNul).optional(),
  cwd: noNul.startsWith("/", "must be an absolute path").optional(),
  user: noNul.min(1).optional(),
  stdin: z.custom<StdinMode>(isStdinMode, STDIN_RULE).optional(),
  tty: z.union([z.boolean(), terminalSizeSchema]).optional(),
  timeoutMs: z.number().min(1).max(TIMER_MS_MAX).optional(),
  rlimits: rlimitsSchema.optional(),
  outputBytesMax: z.int().min(0).optional(),
  detached: z.boolean().default(false),
  signal: z.instanceof(AbortSignal).optional(),
});

const startFailureSchema = z.enum(["reject", "event"]).default("reject");

/** By hand: a schema of objects would look at each of a million bytes as at a field. */
function isStdinMode(value: unknown): boolean {
  if (value === "null" || value === "pipe" || isInput(value)) return true;
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return false;
  return "bytes" in value && value.bytes instanceof Uint8Array && Object.keys(value).length === 1;
}

function isInput(value: unknown): value is ExecInput {
  return value instanceof Uint8Array || value instanceof ReadableStream;
}

/** @throws {InvalidConfigError} naming every field that is wrong. */
export function resolveExec(
  config: SandboxConfig,
  command: string,
  args: Iterable<ExecArgument>,
  options: ExecOptions,
  defaultStdin: "null" | "pipe",
): ExecRequest {
  const given = withoutUndefined(options);
  const checked = checkConfig(execSchema, given, "options");
  // A string is iterable, too: its letters would be the arguments.
  const isList = typeof args === "object" && args !== null && Symbol.iterator in args;
  const argv = [command, ...(isList ? args : [])];
  const issues = [...checked.issues];
  if (typeof command !== "string" || command === "")
    issues.push({ field: "command", problem: "must be a program's name or path" });
  if (!isList) issues.push({ field: "args", problem: "must be an array of strings" });
  const words = typeof command === "string" ? argv : argv.slice(1);
  const problem = words.map(argumentProblem).find((found) => found !== undefined);
  if (problem !== undefined) issues.push({ field: "args", problem });
  if (checked.data?.detached && checked.data.timeoutMs !== undefined)
    issues.push({ field: "timeoutMs", problem: "cannot be combined with detached" });
  if (checked.data === undefined || issues.length > 0) throw new InvalidConfigError(issues);
  const { env, cwd, user, tty, rlimits, detached, stdin = defaultStdin, timeoutMs } = checked.data;
  return {
    start: {
      argv,
      env: mergeEnv(config, env ?? {}),
      cwd: cwd ?? config.workdir ?? (config.imageConfig.workingDir || "/"),
      user: user ?? config.user ?? config.imageConfig.user ?? "",
      rlimits: mergeRlimits(config, rlimits ?? {}),
      terminal: tty === true ? DEFAULT_TERMINAL_SIZE : tty === false ? undefined : tty,
      stdin: stdin !== "null",
      detached,
    },
    label: command,
    input: inputOf(stdin),
    timeoutMs,
    outputBytesMax: checked.data.outputBytesMax ?? OUTPUT_BYTES_MAX,
    signal: checked.data.signal,
    startFailure: "reject",
    offline: config.network.mode === "none" ? config.name : undefined,
  };
}

function argumentProblem(word: unknown): string | undefined {
  if (typeof word !== "string" && !(word instanceof Uint8Array)) return "must be an array of strings";
  return wordProblem(word);
}

/** {@linkcode resolveExec} of a program that is streamed. @throws {InvalidConfigError} */
export function resolveStream(
  config: SandboxConfig,
  command: string,
  args: Iterable<ExecArgument>,
  options: ExecStreamOptions,
): ExecRequest {
  checkObject(options, "options");
  const { startFailure, ...rest } = options;
  const request = resolveExec(config, command, args, rest, "pipe");
  return { ...request, startFailure: parseConfig(startFailureSchema, startFailure, "startFailure") };
}

/** The rule that a word of a command line breaks; `undefined` if it may be sent. */
export function wordProblem(word: ExecArgument): string | undefined {
  if (typeof word !== "string") return word.includes(0) ? "must not contain a NUL byte" : undefined;
  if (word.includes("\0")) return "must not contain a NUL byte";
  // Encoded as UTF-8 it would be another text.
  return word.isWellFormed() ? undefined : "must not contain half of a surrogate pair";
}

function inputOf(stdin: StdinMode): ExecInput | undefined {
  if (typeof stdin === "string") return undefined;
  return isInput(stdin) ? stdin : stdin.bytes;
}

/**
 * The main command of the sandbox and its image: ENTRYPOINT followed by CMD.
 *
 * @param args Stand in place of CMD, unless there are none.
 * @throws {NoDefaultCommandError}
 */
export function defaultCommand(
  config: SandboxConfig,
  args: readonly string[] = [],
): readonly [string, ...string[]] {
  const entrypoint = config.entrypoint ?? config.imageConfig.entrypoint ?? [];
  // As with containers: CMD are arguments of the image's own ENTRYPOINT, and mean nothing to another.
  const cmd = config.cmd ?? (config.entrypoint === undefined ? config.imageConfig.cmd : undefined) ?? [];
  const [program, ...rest] = [...entrypoint, ...(args.length === 0 ? cmd : args)];
  if (program === undefined) throw new NoDefaultCommandError(config.name);
  return [program, ...rest];
}

function mergeEnv(config: SandboxConfig, env: Readonly<Record<string, string>>): string[] {
  const merged = new Map<string, string>();
  for (const entry of config.imageConfig.env ?? []) {
    const at = entry.indexOf("=");
    if (at > 0) merged.set(entry.slice(0, at), entry.slice(at + 1));
  }
  for (const [name, value] of [...Object.entries(config.env), ...Object.entries(env)])
    merged.set(name, value);
  return [...merged].map(([name, value]) => `${name}=${value}`);
}

/** Each limit once, since a second of the same name could not be raised above the first. */
function mergeRlimits(config: SandboxConfig, rlimits: z.output<typeof rlimitsSchema>): string[] {
  const merged = new Map(config.rlimits.map((entry) => [entry.slice(0, entry.indexOf("=")), entry]));
  for (const [name, limit] of Object.entries(rlimits)) merged.set(name, formatRlimit(name, limit));
  return [...merged.values()];
}
