/**
 * How a job is started.
 *
 * @module
 */
import { InvalidConfigError } from "../../base/errors.ts";
import { checkConfig } from "../../base/parse_config.ts";
import { nameSchema } from "../../options/names.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import {
  type ExecArgument,
  type ExecOptions,
  type ExecRequest,
  programOfCall,
  resolveExec,
} from "../exec/exec_options.ts";

/** Options of one job: those of a program, and its name. */
export interface JobOptions
  extends Omit<ExecOptions, "stdin" | "timeoutMs" | "outputBytesMax" | "detached" | "signal"> {
  /**
   * What to find the job by, besides its id: 1 to 128 letters, digits, `.`, `_` and `-`, the first a letter or digit. No
   * other job that runs in the sandbox may have it. @default none
   */
  readonly name?: string | undefined;
  /**
   * Standard input. With `"pipe"` it stays open until a `Job.stdin` is closed, whichever process has opened it; bytes and
   * streams are fed by this process, and end with it. @default {"null"}
   */
  readonly stdin?: ExecOptions["stdin"];
  /** Ends the call with `AbortedError`; a program that has been started by then is killed. */
  readonly signal?: AbortSignal | undefined;
}

/** A job's program with its arguments and options in one object. */
export interface JobProgram extends JobOptions {
  /** The program's name, or its path. */
  readonly command: string;
  /** Its arguments. @default none */
  readonly args?: Iterable<ExecArgument> | undefined;
}

/** A job as it is to be started. */
export interface JobRequest {
  readonly name: string | undefined;
  readonly exec: ExecRequest;
}

/** Options of programs that mean nothing to one that outlives the call. */
const NOT_OF_JOBS = ["timeoutMs", "outputBytesMax", "detached"] as const;

/** @throws {InvalidConfigError} naming every field that is wrong. */
export function resolveJob(
  config: SandboxConfig,
  first: string | JobProgram,
  words: Iterable<ExecArgument> | undefined,
  given: JobOptions | undefined,
): JobRequest {
  const { command, args, options } = programOfCall(first, words, given);
  const { name, ...rest }: JobOptions = options;
  const issues = name === undefined ? [] : checkConfig(nameSchema, name, "name").issues;
  const foreign = NOT_OF_JOBS.filter((field) => Object.hasOwn(rest, field));
  const problems = foreign.map((field) => ({ field, problem: "does not apply to a job" }));
  if (issues.length + problems.length > 0) throw new InvalidConfigError([...issues, ...problems]);
  return { name, exec: resolveExec(config, command, args, rest, "null") };
}
