/**
 * What every command is given: streams, signals, and the exit status that it sets.
 *
 * @module
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { describeError, type ErrorText } from "./error_text.ts";
import { statusOf } from "./exit_status.ts";
import type { Interrupt } from "./interrupt.ts";
import type { Output } from "./output.ts";
import { escapeControls } from "./terminal_text.ts";
import type { Warnings } from "./warnings.ts";

/** How long work that never waits may keep signals from being heard, in milliseconds. */
const TURN_MS = 50;

/** What commands need of standard input: `process.stdin` has it. */
export interface InputStream extends NodeJS.ReadableStream {
  readonly isTTY?: boolean;
  setRawMode?(mode: boolean): unknown;
}

export interface CliStreams {
  readonly stdin: InputStream;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly interrupt: Interrupt;
  readonly warnings: Warnings;
}

export class CliContext implements CliStreams {
  readonly stdin: InputStream;
  readonly stdout: Output;
  readonly stderr: Output;
  readonly interrupt: Interrupt;
  readonly warnings: Warnings;
  /** What the process exits with. */
  exitStatus = 0;
  #turnStartedMs = performance.now();

  constructor({ stdin, stdout, stderr, interrupt, warnings }: CliStreams) {
    this.stdin = stdin;
    this.stdout = stdout;
    this.stderr = stderr;
    this.interrupt = interrupt;
    this.warnings = warnings;
  }

  /** Aborted by Ctrl-C. */
  get signal(): AbortSignal {
    return this.interrupt.signal;
  }

  /** Shows an error, and makes it count. */
  async fail(error: unknown): Promise<void> {
    this.exitStatus = statusOf(error);
    await this.stderr.write(formatErrorText(describeError(error), this.stderr));
  }

  /**
   * For each step of long output: throws after Ctrl-C. Writes to a file or a terminal wait for nothing, and while nothing
   * waits no signal is heard.
   */
  async throwIfInterrupted(): Promise<void> {
    if (performance.now() - this.#turnStartedMs >= TURN_MS) {
      await nextTurn();
      this.#turnStartedMs = performance.now();
    }
    this.signal.throwIfAborted();
  }

  /** Waits for what goes on without us, too: Ctrl-C ends the waiting alone. */
  async unlessInterrupted<T>(work: Promise<T>): Promise<T> {
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(this.signal.reason);
    this.signal.addEventListener("abort", abort, { once: true });
    if (this.signal.aborted) abort();
    try {
      return await Promise.race([work, aborted.promise]);
    } finally {
      this.signal.removeEventListener("abort", abort);
    }
  }

  /** Does something with each of several names: one that fails keeps none of the others from it. */
  async forEach(
    names: readonly string[],
    { quiet }: { readonly quiet?: true | undefined },
    action: (name: string) => Promise<void>,
  ): Promise<void> {
    for (const name of names) {
      try {
        await action(name);
      } catch (error) {
        if (this.signal.aborted) throw error;
        await this.fail(error);
        continue;
      }
      if (quiet !== true) await this.stdout.line(name);
    }
  }
}

function formatErrorText({ message, code, hint }: ErrorText, output: Output): string {
  const label = output.style("red", "error:");
  const suffix = code === undefined ? "" : ` ${output.style("dim", `(${code})`)}`;
  const [first = "", ...more] = escapeControls(message).split("\n");
  const advice = hint === undefined ? [] : [`  ${output.style("cyan", "hint:")} ${escapeControls(hint)}`];
  return `${[`${label} ${first}${suffix}`, ...more, ...advice].join("\n")}\n`;
}
