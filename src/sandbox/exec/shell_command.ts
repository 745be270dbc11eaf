/**
 * `sandbox.$`: a line of shell as a template, which runs when its result is asked for.
 *
 * @module
 */
import { ExecOutputLimitError } from "../../agent/errors.ts";
import { type Bytes, encodeUtf8, KiB } from "../../base/bytes.ts";
import { withoutUndefined } from "../../base/defined.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { checkObject } from "../../base/parse_config.ts";
import { ExecExitError } from "../errors.ts";
import type { ExecHandle } from "./exec_handle.ts";
import { type ExecOptions, OUTPUT_BYTES_MAX } from "./exec_options.ts";
import { ExecOutput, statusOf } from "./exec_output.ts";
import { LineCutter, OutputTail } from "./output_lines.ts";
import { type ShellScript, type ShellValue, shellScript } from "./shell_template.ts";

/** How much of standard error is kept for the error while lines are read. */
const STDERR_TAIL_BYTES = 64 * KiB;

/** Starts a script with the sandbox's shell. */
export type StartScript = (script: ShellScript, options: ExecOptions) => Promise<ExecHandle>;

/**
 * The type of `sandbox.$`. As a tag of a template it makes a {@linkcode ShellCommand}; called with options it gives a tag
 * whose commands have them.
 *
 * @example
 * ```ts
 * const $ = sandbox.$({ cwd: "/tmp", timeoutMs: 60_000 });
 * await $`echo ${"a b"} > ${"my file"}`;
 * console.log(await $`cat ${"my file"}`.text()); // a b
 * ```
 */
export interface ShellTag {
  /**
   * Makes a command. Each value is one word, or one a piece for an array, whatever is in it; `{ raw: text }` is put in as
   * code. Backslashes are the shell's.
   *
   * @throws {InvalidConfigError} at once, if a value is none of these, or stands where it would not be one word.
   */
  (script: TemplateStringsArray, ...values: readonly ShellValue[]): ShellCommand;
  /** Gives a tag whose commands have these options, over those of this one. */
  (options: ExecOptions): ShellTag;
}

/** @internal */
export function shellTag(start: StartScript, defaults: ExecOptions = {}): ShellTag {
  function tag(script: TemplateStringsArray, ...values: readonly ShellValue[]): ShellCommand;
  function tag(options: ExecOptions): ShellTag;
  function tag(first: TemplateStringsArray | ExecOptions, ...values: readonly ShellValue[]) {
    if (isTemplate(first)) return new ShellCommand(start, shellScript(first, values), defaults);
    checkObject(first, "options");
    return shellTag(start, merge(defaults, first));
  }
  return tag;
}

function isTemplate(value: unknown): value is TemplateStringsArray {
  return Array.isArray(value) && "raw" in value;
}

/** Variables are merged, everything else replaces. What is not right is left as it is, to be refused when it is used. */
function merge(options: ExecOptions, more: ExecOptions): ExecOptions {
  const given = withoutUndefined(more);
  const areBoth = isObject(options.env) && isObject(given.env);
  const env = areBoth ? { ...options.env, ...given.env } : given.env === undefined ? options.env : given.env;
  return withoutUndefined({ ...options, ...given, env });
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null;
}

/**
 * A command of `sandbox.$`. It runs once, when it is awaited or read: as an `ExecOutput` by `await`, as {@linkcode text},
 * {@linkcode json} or {@linkcode bytes}, or as it comes by {@linkcode lines}. If it exits with another code than 0, or a
 * signal ends it, that rejects with `ExecExitError`, unless {@linkcode nothrow} was called. Nothing is echoed.
 *
 * @example
 * ```ts
 * const name = "it's a file; rm -rf *";
 * await sandbox.$`echo ${"hello"} > /tmp/${name}`;
 * for await (const line of sandbox.$`cat /tmp/${name}`.lines()) console.log(line); // hello
 * const { code } = await sandbox.$`test -e ${"/nowhere"}`.nothrow(); // 1
 * ```
 */
export class ShellCommand implements Promise<ExecOutput> {
  readonly #start: StartScript;
  readonly #script: ShellScript;
  #options: ExecOptions;
  #throws = true;
  /** How the command was started: it can be read in one way. */
  #read: "output" | "lines" | undefined;
  #output: Promise<ExecOutput> | undefined;

  /** @internal */
  constructor(start: StartScript, script: ShellScript, options: ExecOptions) {
    this.#start = start;
    this.#script = script;
    this.#options = options;
  }

  /** `"ShellCommand"`. */
  get [Symbol.toStringTag](): string {
    return "ShellCommand";
  }

  /** Adds environment variables, over those of the sandbox and the image. */
  env(env: Readonly<Record<string, string>>): this {
    return this.#set("env", merge(this.#options, { env }));
  }

  /** Sets the working directory, an absolute path. */
  cwd(cwd: string): this {
    return this.#set("cwd", { cwd });
  }

  /** Sets the user: `name`, `uid`, `name:group` or `uid:gid`. */
  user(user: string): this {
    return this.#set("user", { user });
  }

  /** Sets the time limit, in milliseconds from the start; then the command is killed (`ExecTimeoutError`). */
  timeout(timeoutMs: number): this {
    return this.#set("timeout", { timeoutMs });
  }

  /** Sets the signal that kills the command (`AbortedError`). */
  signal(signal: AbortSignal): this {
    return this.#set("signal", { signal });
  }

  /** Sets the input: text, as UTF-8, or bytes, or a stream of bytes. @default none */
  stdin(input: string | Uint8Array | ReadableStream<Uint8Array>): this {
    return this.#set("stdin", { stdin: typeof input === "string" ? encodeUtf8(input) : input });
  }

  /** Makes another exit code than 0, and an end by a signal, a result instead of an error. */
  nothrow(): this {
    this.#set("nothrow", {});
    this.#throws = false;
    return this;
  }

  /**
   * What the command writes to standard output, decoded as UTF-8, with the line feed at its end, if there is one.
   *
   * @throws {ExecExitError} `execExit`, and all that `await` rejects with.
   */
  async text(): Promise<string> {
    return (await this.#run()).stdout();
  }

  /** What the command writes to standard output, parsed as JSON. @throws {SyntaxError} if it is none, as `Response.json()` does. */
  async json<T = unknown>(): Promise<T> {
    return JSON.parse(await this.text());
  }

  /** What the command writes to standard output. */
  async bytes(): Promise<Bytes> {
    return (await this.#run()).stdoutBytes();
  }

  /**
   * The lines of standard output as they come, without their ends (`\n` or `\r\n`). What is not taken waits in the guest;
   * leaving the loop kills the command. Rejects as `await` does, after the last line. A line has at most `outputBytesMax`
   * bytes (`ExecOutputLimitError`).
   */
  async *lines(): AsyncGenerator<string, void, void> {
    this.#claim("lines");
    const { label } = this.#script;
    const limit = this.#options.outputBytesMax ?? OUTPUT_BYTES_MAX;
    const cutter = new LineCutter(limit, () => new ExecOutputLimitError(label, limit));
    const stderr = new OutputTail(STDERR_TAIL_BYTES);
    for await (const event of await this.#begin()) {
      if (event.kind === "stdout") yield* cutter.add(event.data);
      else if (event.kind === "stderr") stderr.add(event.data);
      else if (event.kind === "exited") {
        const last = cutter.finish();
        if (last !== undefined) yield last;
        this.#check(new ExecOutput(statusOf(event), new Uint8Array(0), stderr.bytes));
      }
    }
  }

  /** Runs the command, if it does not run yet, and resolves with its output: this is what `await` calls. */
  // biome-ignore lint/suspicious/noThenProperty: to be awaited is what it is for
  then<T = ExecOutput, E = never>(
    onFulfilled?: ((output: ExecOutput) => T | PromiseLike<T>) | null,
    // biome-ignore lint/suspicious/noExplicitAny: as in the standard, so that a handler may say what it expects
    onRejected?: ((reason: any) => E | PromiseLike<E>) | null,
  ): Promise<T | E> {
    return this.#run().then(onFulfilled, onRejected);
  }

  /** Runs the command, and handles its error. */
  // biome-ignore lint/suspicious/noExplicitAny: as in the standard
  catch<E = never>(onRejected?: ((reason: any) => E | PromiseLike<E>) | null): Promise<ExecOutput | E> {
    return this.#run().catch(onRejected);
  }

  /** Runs the command, and calls `onFinally` in either case. */
  finally(onFinally?: (() => void) | null): Promise<ExecOutput> {
    return this.#run().finally(onFinally);
  }

  #run(): Promise<ExecOutput> {
    this.#output ??= this.#collect();
    return this.#output;
  }

  async #collect(): Promise<ExecOutput> {
    this.#claim("output");
    const output = await (await this.#begin()).collect();
    this.#check(output);
    return output;
  }

  async #begin(): Promise<ExecHandle> {
    if (this.#options.stdin === "pipe")
      throw refusal("stdin", "has no pipe to write to: give the input, or use shellStream()");
    return await this.#start(this.#script, this.#options);
  }

  #check(output: ExecOutput): void {
    if (this.#throws && !output.success) throw new ExecExitError(this.#script.label, output);
  }

  #claim(read: "output" | "lines"): void {
    if (this.#read !== undefined) throw refusal("$", `has run already, and was read ${READS[this.#read]}`);
    this.#read = read;
  }

  #set(field: string, options: ExecOptions): this {
    if (this.#read !== undefined) throw refusal(field, "must be set before the command runs");
    this.#options = { ...this.#options, ...options };
    return this;
  }
}

const READS = { output: "as a whole", lines: "by lines()" } as const;

function refusal(field: string, problem: string): InvalidConfigError {
  return new InvalidConfigError([{ field, problem }]);
}
