/**
 * How a program is attached to a terminal: its options, and what they come to.
 *
 * @module
 */
import { z } from "zod";
import { withoutUndefined } from "../../base/defined.ts";
import { parseConfig } from "../../base/parse_config.ts";
import { nameSchema } from "../../options/names.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import {
  type ExecArgument,
  type ExecOptions,
  execSchema,
  resolveExec,
  terminalSizeSchema,
} from "../exec/exec_options.ts";
import type { Job } from "../jobs/job.ts";
import type { JobOptions, JobRequest } from "../jobs/job_options.ts";
import { DEFAULT_DETACH_KEYS, DETACH_KEYS_RULE, DetachKeys, parseDetachKeys } from "./detach_keys.ts";
import { type TerminalSource, type TerminalStreams, terminalSource } from "./program_terminal.ts";

/** How a terminal is connected to a program. */
export interface AttachViewOptions {
  /**
   * The keys that leave the program running: 1 to 16 with commas between them, each a character or `ctrl-` and one of `a` to
   * `z`, `@`, `[`, `\`, `]`, `^` and `_`. Keys that come without the rest go to the program as soon as another one
   * follows. `false`: no keys do that. @default {"ctrl-p,ctrl-q"}
   */
  readonly detachKeys?: string | false | undefined;
  /** Streams that stand for a terminal. @default the terminal that this process was started on */
  readonly terminal?: TerminalStreams | undefined;
}

/** Options of a program that is attached to a terminal. */
export interface AttachOptions
  extends AttachViewOptions,
    Pick<ExecOptions, "env" | "cwd" | "user" | "rlimits" | "signal">,
    Pick<JobOptions, "name"> {
  /** Milliseconds from the call, 1 to 2147483647. Then the process group is killed, unless it was detached from. @default no limit */
  readonly timeoutMs?: number | undefined;
  /** Called with the program's job once it runs, before it is connected. */
  readonly onStart?: ((job: Job) => void) | undefined;
}

/** Options of `Job.attach()`. */
export interface JobAttachOptions extends AttachViewOptions {
  /** Detaches when it fires, and rejects the call with `AbortedError` (`aborted`). The job runs on. */
  readonly signal?: AbortSignal | undefined;
}

/** A program with its arguments and options in one object, for `attach()`. */
export interface AttachProgram extends AttachOptions {
  /** The program's name, or its path. */
  readonly command: string;
  /** Its arguments. @default none */
  readonly args?: Iterable<ExecArgument> | undefined;
}

/** What is the same for a new program and for one that runs already. */
export interface AttachView {
  readonly terminal: TerminalSource;
  readonly keys: DetachKeys | undefined;
  /** Ends the connection; the program runs on. */
  readonly signal: AbortSignal | undefined;
}

const viewSchema = z.strictObject({
  detachKeys: z.custom<string | false>(isDetachKeys, DETACH_KEYS_RULE).optional(),
  terminal: z
    .strictObject({
      stdin: z.instanceof(ReadableStream, { error: "must be a ReadableStream" }),
      stdout: z.instanceof(WritableStream, { error: "must be a WritableStream" }),
      size: terminalSizeSchema.optional(),
      sizes: z.instanceof(ReadableStream, { error: "must be a ReadableStream" }).optional(),
    })
    .optional(),
  signal: z.instanceof(AbortSignal).optional(),
});
const schema = execSchema
  .omit({ stdin: true, tty: true, detached: true, outputBytesMax: true })
  .extend(viewSchema.shape)
  .extend({
    name: nameSchema.optional(),
    onStart: z.custom<AttachOptions["onStart"]>(isFunction, "must be a function").optional(),
  });

function isDetachKeys(value: unknown): boolean {
  return value === false || (typeof value === "string" && parseDetachKeys(value) !== undefined);
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

/** A program and the terminal to connect it to. */
export interface AttachRequest {
  readonly view: AttachView;
  readonly job: JobRequest;
  readonly onStart: AttachOptions["onStart"];
}

/**
 * Checks a call. Nothing is taken from the terminal yet.
 *
 * @throws {InvalidConfigError} naming every field that is wrong.
 * @throws {TerminalError} if there is no terminal, or it is in use.
 */
export function resolveAttach(
  config: SandboxConfig,
  command: string,
  args: Iterable<ExecArgument>,
  options: AttachOptions,
): AttachRequest {
  parseConfig(schema, withoutUndefined(options), "options");
  const { detachKeys, terminal, name, onStart, env, ...exec } = options;
  // First without the terminal: what is wrong with the program is told where there is none, too.
  resolveExec(config, command, args, { ...exec, env }, "pipe");
  const view = openView({ detachKeys, terminal });
  const { rows, columns } = view.terminal.size;
  const typed = { ...terminalType(config, view.terminal), ...env };
  const program = resolveExec(config, command, args, { ...exec, env: typed, tty: { rows, columns } }, "pipe");
  const start = { ...program.start, detached: true, keepInput: true };
  return { view, job: { name, exec: { ...program, start } }, onStart };
}

/**
 * Checks a call about a program that runs already.
 *
 * @throws {InvalidConfigError} naming every field that is wrong.
 * @throws {TerminalError} if there is no terminal, or it is in use.
 */
export function resolveView(options: JobAttachOptions): AttachView {
  parseConfig(viewSchema, withoutUndefined(options), "options");
  return openView(options);
}

function openView({ detachKeys = DEFAULT_DETACH_KEYS, terminal, signal }: JobAttachOptions): AttachView {
  const keys = detachKeys === false ? undefined : parseDetachKeys(detachKeys);
  return {
    terminal: terminalSource(terminal),
    keys: keys === undefined ? undefined : new DetachKeys(keys),
    signal,
  };
}

/** Programs draw for the terminal that shows them, unless the sandbox says for which. */
function terminalType({ env }: SandboxConfig, { type }: TerminalSource): Readonly<Record<string, string>> {
  return type === undefined || type === "" || "TERM" in env ? {} : { TERM: type };
}
