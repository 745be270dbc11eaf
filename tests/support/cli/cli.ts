/**
 * The command line tool in this process: with streams that remember, and signals that a test sends.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import { PassThrough } from "node:stream";
import { Interrupt } from "../../../src/cli/interrupt.ts";
import { main } from "../../../src/cli/main.ts";
import { Output, type OutputStream } from "../../../src/cli/output.ts";
import { Warnings } from "../../../src/cli/warnings.ts";

/** A stream that keeps what is written to it. */
export class MemoryStream implements OutputStream {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly rows = 24;
  text = "";
  /** What the next writes fail with. */
  failure: Error | undefined;

  constructor({
    isTTY = false,
    columns = 100,
  }: { readonly isTTY?: boolean; readonly columns?: number } = {}) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(chunk: string | Uint8Array, callback?: (error?: Error | null) => void): boolean {
    if (this.failure === undefined)
      this.text += typeof chunk === "string" ? chunk : new TextDecoder().decode(chunk);
    const { failure } = this;
    if (callback !== undefined) queueMicrotask(() => callback(failure));
    return true;
  }

  on(): this {
    return this;
  }
}

/** Runs one command line; nothing of it reaches this process's own streams. */
export async function runCli(
  words: readonly string[],
  {
    isTTY = false,
    environment = {},
    input = "",
    signals = new EventEmitter(),
  }: {
    readonly isTTY?: boolean;
    readonly environment?: Record<string, string>;
    /** All of standard input, or what is written to it and ended by the test. */
    readonly input?: string | PassThrough;
    /** Where the test emits signals. */
    readonly signals?: EventEmitter;
  } = {},
): Promise<{ readonly status: number; readonly stdout: string; readonly stderr: string }> {
  const [out, err] = [new MemoryStream({ isTTY }), new MemoryStream({ isTTY })];
  const stdin = Object.assign(input instanceof PassThrough ? input : new PassThrough(), { isTTY });
  if (typeof input === "string") stdin.end(input);
  const stderr = new Output(err, environment);
  using interrupt = new Interrupt(signals, () => {});
  const status = await main(words, {
    stdin,
    stdout: new Output(out, environment),
    stderr,
    interrupt,
    warnings: new Warnings(stderr),
  });
  return { status, stdout: out.text, stderr: err.text };
}
