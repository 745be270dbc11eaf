/**
 * Arguments and options of one program, collected call by call as in the known SDK.
 *
 * @module
 */
import { type ExecOptions, Stdin } from "./exec_options.ts";

/**
 * Arguments and {@linkcode ExecOptions} in fluent form, for `execWith()`, `execDefaultWith()` and their streams.
 *
 * @example
 * ```ts
 * const output = await sandbox.execWith("ls", (exec) => exec.arg("-l").cwd("/etc").env("LANG", "C").timeout(60_000));
 * ```
 */
export class ExecOptionsBuilder {
  readonly #args: string[] = [];
  #options: ExecOptions = {};

  /** Adds one argument. */
  arg(arg: string): this {
    this.#args.push(arg);
    return this;
  }

  /** Adds arguments. */
  args(args: Iterable<string>): this {
    this.#args.push(...args);
    return this;
  }

  /** Sets the working directory, an absolute path. */
  cwd(cwd: string): this {
    return this.#set({ cwd });
  }

  /** Sets the user: `name`, `uid`, `name:group` or `uid:gid`. */
  user(user: string): this {
    return this.#set({ user });
  }

  /** Adds an environment variable. */
  env(name: string, value: string): this {
    return this.envs({ [name]: value });
  }

  /** Adds environment variables. */
  envs(env: Readonly<Record<string, string>>): this {
    return this.#set({ env: { ...this.#options.env, ...env } });
  }

  /** Sets the time limit, in milliseconds. */
  timeout(timeoutMs: number): this {
    return this.#set({ timeoutMs });
  }

  /** Gives the program no input. */
  stdinNull(): this {
    return this.#set({ stdin: "null" });
  }

  /** Gives the program a pipe as its input: see `ExecHandle.stdin`. */
  stdinPipe(): this {
    return this.#set({ stdin: "pipe" });
  }

  /** Gives the program this text (as UTF-8) or these bytes as its input. */
  stdinBytes(data: Uint8Array | string): this {
    return this.#set({ stdin: Stdin.bytes(data) });
  }

  /** Runs the program on a pseudo-terminal. */
  tty(tty = true): this {
    return this.#set({ tty });
  }

  /** Sets the soft and the hard limit of a resource, e.g. `rlimit("nofile", 1024)`. */
  rlimit(resource: string, limit: number): this {
    return this.rlimitRange(resource, limit, limit);
  }

  /** Sets the soft and the hard limit of a resource apart. */
  rlimitRange(resource: string, soft: number, hard: number): this {
    return this.#set({ rlimits: { ...this.#options.rlimits, [resource]: { soft, hard } } });
  }

  /** Sets the signal that kills the program. */
  signal(signal: AbortSignal): this {
    return this.#set({ signal });
  }

  /** Returns the arguments and options set so far. */
  build(): { readonly args: readonly string[]; readonly options: ExecOptions } {
    return { args: this.#args, options: this.#options };
  }

  #set(options: ExecOptions): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}
