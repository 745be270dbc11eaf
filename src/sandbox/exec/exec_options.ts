/**
 * How one program is run: options, what an image and a sandbox add to them, and the builder of the known SDK.
 *
 * @module
 */
import { z } from "zod";
import type { ExecStart } from "../../agent/exec_session.ts";
import { encodeUtf8, MiB } from "../../base/bytes.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { checkConfig } from "../../base/parse_config.ts";
import { TIMER_MS_MAX } from "../../base/wait.ts";
import { type RlimitOptions, rlimitsSchema, type SandboxConfig } from "../../options/sandbox_options.ts";
import { NoDefaultCommandError } from "../errors.ts";

/** What a program reads: nothing at all, what is written to `ExecHandle.stdin`, or these bytes. */
export type StdinMode = "null" | "pipe" | { readonly bytes: Uint8Array };

/** Values for {@linkcode ExecOptions.stdin}, as the known SDK names them. */
export const Stdin: {
  null(): StdinMode;
  pipe(): StdinMode;
  bytes(data: Uint8Array | string): StdinMode;
} = {
  null: () => "null",
  pipe: () => "pipe",
  bytes: (data) => ({ bytes: typeof data === "string" ? encodeUtf8(data) : data }),
};

/** Options of one run; each has its default from the sandbox, and that from the image. */
export interface ExecOptions {
  /** Variables over those of the sandbox and the image. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Working directory, absolute. @default the sandbox's, else the image's, else `/` */
  readonly cwd?: string | undefined;
  /** `name`, `uid`, `name:group` or `uid:gid`. @default the sandbox's, else the image's, else root */
  readonly user?: string | undefined;
  /** @default {"null"} for `exec`, {"pipe"} for `execStream` */
  readonly stdin?: StdinMode | undefined;
  /** Runs on a pseudo-terminal: output arrives merged, as stdout. @default {false} */
  readonly tty?: boolean | { readonly rows: number; readonly columns: number } | undefined;
  /**
   * Kills the process group and rejects with `ExecTimeoutError` so many milliseconds after the call, whether the program
   * has started by then or not. @default none
   */
  readonly timeoutMs?: number | undefined;
  readonly rlimits?: Readonly<Record<string, RlimitOptions>> | undefined;
  /** Most bytes that `exec` collects of stdout and stderr together. @default {67_108_864} */
  readonly outputBytesMax?: number | undefined;
  /**
   * Whether the program goes on when nobody holds its handle any more, this process included; what it writes then is in
   * the log alone. It cannot have a `timeoutMs`. @default {false}
   */
  readonly detached?: boolean | undefined;
  /** Aborting kills the process group, and ends the wait for its start. */
  readonly signal?: AbortSignal | undefined;
}

/** A run as it is sent, and how the client handles it. */
export interface ExecRequest {
  readonly start: ExecStart;
  readonly input: Uint8Array | undefined;
  readonly timeoutMs: number | undefined;
  readonly outputBytesMax: number;
  readonly signal: AbortSignal | undefined;
}

export const OUTPUT_BYTES_MAX: number = 64 * MiB;
const DEFAULT_TERMINAL = { rows: 24, columns: 80 };

const count = z.int().min(1).max(65_535);
const noNul = z.string().refine((text) => !text.includes("\0"), "must not contain a NUL byte");
const schema = z.strictObject({
  env: z.record(z.string().regex(/^[^=\0]+$/, "must be a variable's name"), noNul).optional(),
  cwd: noNul.startsWith("/", "must be an absolute path").optional(),
  user: noNul.min(1).optional(),
  stdin: z.union([z.enum(["null", "pipe"]), z.strictObject({ bytes: z.instanceof(Uint8Array) })]).optional(),
  tty: z.union([z.boolean(), z.strictObject({ rows: count, columns: count })]).optional(),
  timeoutMs: z.number().min(1).max(TIMER_MS_MAX).optional(),
  rlimits: rlimitsSchema.optional(),
  outputBytesMax: z.int().min(0).optional(),
  detached: z.boolean().default(false),
  signal: z.instanceof(AbortSignal).optional(),
});

/** @throws {InvalidConfigError} naming every field that is wrong. */
export function resolveExec(
  config: SandboxConfig,
  command: string,
  args: Iterable<string>,
  options: ExecOptions,
  defaultStdin: "null" | "pipe",
): ExecRequest {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const checked = checkConfig(schema, given, "options");
  // A text is an iterable, too: its letters would be the arguments.
  const argv = [command, ...(typeof args === "string" ? [] : args)];
  const issues = [...checked.issues];
  if (typeof command !== "string" || command === "")
    issues.push({ field: "command", problem: "must be the name or path of a program" });
  if (typeof args === "string" || argv.slice(1).some((word) => typeof word !== "string"))
    issues.push({ field: "args", problem: "must be an array of strings" });
  else if (argv.some((word) => String(word).includes("\0")))
    issues.push({ field: "args", problem: "must not contain a NUL byte" });
  if (checked.data?.detached && checked.data.timeoutMs !== undefined)
    issues.push({ field: "timeoutMs", problem: "cannot be set for a program that is detached" });
  if (checked.data === undefined || issues.length > 0) throw new InvalidConfigError(issues);
  const { env, cwd, user, tty, rlimits, detached, stdin = defaultStdin, timeoutMs } = checked.data;
  return {
    start: {
      argv,
      env: mergeEnv(config, env ?? {}),
      cwd: cwd ?? config.workdir ?? (config.imageConfig.workingDir || "/"),
      user: user ?? config.user ?? config.imageConfig.user ?? "",
      rlimits: mergeRlimits(config, rlimits ?? {}),
      terminal: tty === true ? DEFAULT_TERMINAL : tty === false ? undefined : tty,
      stdin: stdin !== "null",
      detached,
    },
    input: typeof stdin === "object" ? stdin.bytes : undefined,
    timeoutMs,
    outputBytesMax: checked.data.outputBytesMax ?? OUTPUT_BYTES_MAX,
    signal: checked.data.signal,
  };
}

/** The command that the image and the sandbox say is the main one: ENTRYPOINT followed by CMD. */
export function defaultCommand(config: SandboxConfig): readonly [string, ...string[]] {
  const entrypoint = config.entrypoint ?? config.imageConfig.entrypoint ?? [];
  // As with containers: another ENTRYPOINT makes the image's CMD meaningless.
  const cmd = config.cmd ?? (config.entrypoint === undefined ? config.imageConfig.cmd : undefined) ?? [];
  const [program, ...args] = [...entrypoint, ...cmd];
  if (program === undefined) throw new NoDefaultCommandError(config.name);
  return [program, ...args];
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

/** Each limit once: a second one of the same name may not be set any more under the first. */
function mergeRlimits(config: SandboxConfig, rlimits: z.output<typeof rlimitsSchema>): string[] {
  const merged = new Map(config.rlimits.map((entry) => [entry.slice(0, entry.indexOf("=")), entry]));
  for (const [name, { soft, hard = soft }] of Object.entries(rlimits))
    merged.set(name, `${name}=${soft}:${hard}`);
  return [...merged.values()];
}

/** The fluent form of {@linkcode ExecOptions}, for `execWith` and `execStreamWith`. */
export class ExecOptionsBuilder {
  readonly #args: string[] = [];
  #options: ExecOptions = {};

  arg(arg: string): this {
    this.#args.push(arg);
    return this;
  }

  args(args: Iterable<string>): this {
    this.#args.push(...args);
    return this;
  }

  cwd(cwd: string): this {
    return this.#set({ cwd });
  }

  user(user: string): this {
    return this.#set({ user });
  }

  env(name: string, value: string): this {
    return this.envs({ [name]: value });
  }

  envs(env: Readonly<Record<string, string>>): this {
    return this.#set({ env: { ...this.#options.env, ...env } });
  }

  /** In milliseconds. */
  timeout(timeoutMs: number): this {
    return this.#set({ timeoutMs });
  }

  stdinNull(): this {
    return this.#set({ stdin: "null" });
  }

  stdinPipe(): this {
    return this.#set({ stdin: "pipe" });
  }

  stdinBytes(data: Uint8Array | string): this {
    return this.#set({ stdin: Stdin.bytes(data) });
  }

  tty(tty = true): this {
    return this.#set({ tty });
  }

  rlimit(resource: string, limit: number): this {
    return this.rlimitRange(resource, limit, limit);
  }

  rlimitRange(resource: string, soft: number, hard: number): this {
    return this.#set({ rlimits: { ...this.#options.rlimits, [resource]: { soft, hard } } });
  }

  signal(signal: AbortSignal): this {
    return this.#set({ signal });
  }

  /** What was collected. */
  build(): { readonly args: readonly string[]; readonly options: ExecOptions } {
    return { args: this.#args, options: this.#options };
  }

  #set(options: ExecOptions): this {
    this.#options = { ...this.#options, ...options };
    return this;
  }
}
