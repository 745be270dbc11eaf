/**
 * Arguments and options of one attached program, collected call by call as in the known SDK.
 *
 * @module
 */
import type { AttachOptions } from "./attach_options.ts";
import type { TerminalStreams } from "./program_terminal.ts";

/**
 * Arguments and {@linkcode AttachOptions} in fluent form, for `attachWith()` and `attachDefaultWith()`.
 *
 * @example
 * ```ts no-run: needs a terminal
 * const code = await sandbox.attachWith("vi", (attach) => attach.arg("notes.txt").cwd("/root").detachKeys("ctrl-]"));
 * ```
 */
export class AttachOptionsBuilder {
  readonly #args: string[] = [];
  #options: AttachOptions = {};

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

  /** Sets the keys that leave the program running, e.g. `"ctrl-]"`; `false` for none. */
  detachKeys(detachKeys: string | false): this {
    return this.#set({ detachKeys });
  }

  /** Sets the soft and the hard limit of a resource, e.g. `rlimit("nofile", 1024)`. */
  rlimit(resource: string, limit: number): this {
    return this.rlimitRange(resource, limit, limit);
  }

  /** Sets the soft and the hard limit of a resource apart. */
  rlimitRange(resource: string, soft: number, hard: number): this {
    return this.#set({ rlimits: { ...this.#options.rlimits, [resource]: { soft, hard } } });
  }

  /** Sets the time limit, in milliseconds. */
  timeout(timeoutMs: number): this {
    return this.#set({ timeoutMs });
  }

  /** Sets the signal that kills the program. */
  signal(signal: AbortSignal): this {
    return this.#set({ signal });
  }

  /** Sets streams that stand for a terminal. */
  terminal(terminal: TerminalStreams): this {
    return this.#set({ terminal });
  }

  /** Returns the arguments and options set so far. */
  build(): { readonly args: readonly string[]; readonly options: AttachOptions } {
    return { args: this.#args, options: this.#options };
  }

  #set(options: AttachOptions): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}
