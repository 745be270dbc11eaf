/**
 * Arguments and options that every program can have, collected call by call as in the known SDK.
 *
 * @module
 */
import type { ExecOptions } from "./exec_options.ts";

/** Options of every program. */
type ProgramOptions = Pick<ExecOptions, "cwd" | "user" | "env" | "timeoutMs" | "rlimits" | "signal">;

/** Arguments and options that programs have whether they run on a terminal or not, in fluent form. */
export abstract class ProgramOptionsBuilder {
  /** @internal */
  protected readonly collectedArgs: string[] = [];
  /** @internal */
  protected programOptions: ProgramOptions = {};

  /** Adds one argument. */
  arg(arg: string): this {
    this.collectedArgs.push(arg);
    return this;
  }

  /** Adds arguments. */
  args(args: Iterable<string>): this {
    this.collectedArgs.push(...args);
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
    return this.#set({ env: { ...this.programOptions.env, ...env } });
  }

  /** Sets the soft and the hard limit of a resource, e.g. `rlimit("nofile", 1024)`. */
  rlimit(resource: string, limit: number): this {
    return this.rlimitRange(resource, limit, limit);
  }

  /** Sets the soft and the hard limit of a resource apart. */
  rlimitRange(resource: string, soft: number, hard: number): this {
    return this.#set({ rlimits: { ...this.programOptions.rlimits, [resource]: { soft, hard } } });
  }

  /** Sets the time limit, in milliseconds. */
  timeout(timeoutMs: number): this {
    return this.#set({ timeoutMs });
  }

  /** Sets the signal that kills the program. */
  signal(signal: AbortSignal): this {
    return this.#set({ signal });
  }

  #set(options: ProgramOptions): this {
    this.programOptions = { ...this.programOptions, ...options };
    return this;
  }
}
