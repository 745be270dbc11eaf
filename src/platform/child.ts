/**
 * A child process that is spoken to in lines: one JSON text a line on its standard input and output.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { IoError } from "../base/errors.ts";
import { LineQueue } from "./line_queue.ts";

export interface LineChildOptions {
  readonly file: string;
  readonly args: readonly string[];
  readonly env: Record<string, string>;
  readonly cwd: string;
  /** Descriptor that becomes the child's standard error. */
  readonly stderr: number;
}

/** How a process ended. Exactly one of the two is a value. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** The child, in a session of its own: a Ctrl-C in the caller's terminal does not reach it. */
export class LineChild {
  readonly pid: number;
  /** Never rejects. */
  readonly exited: Promise<ProcessExit>;
  readonly #child: ChildProcess;
  readonly #lines = new LineQueue();

  /** @throws {IoError} if the program cannot be started. */
  static async spawn(options: LineChildOptions): Promise<LineChild> {
    const child = spawn(options.file, options.args, {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ["pipe", "pipe", options.stderr],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", () => resolve());
      child.once("error", (cause) => reject(new IoError(`run ${options.file}`, options.file, cause)));
    });
    return new LineChild(child);
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.exited = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
    child.stdin?.on("error", () => {}); // the child is gone; `exited` says so
    child.stdout?.on("error", () => {});
    child.stdout?.on("data", (chunk: Uint8Array) => this.#lines.push(chunk));
    child.stdout?.once("close", () => this.#lines.end());
  }

  /** Sends one line. */
  send(value: unknown): void {
    this.#child.stdin?.write(`${JSON.stringify(value)}\n`);
  }

  /** The child's next line as text; `undefined` at its end of output. */
  nextLine(): Promise<string | undefined> {
    return this.#lines.next();
  }

  /** Closes the child's standard input. */
  endInput(): void {
    this.#child.stdin?.end();
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Lets this process end while the child runs. */
  release(): void {
    this.#child.stdout?.destroy();
    this.#child.unref();
    for (const stream of [this.#child.stdin, this.#child.stdout]) {
      if (stream !== null && "unref" in stream && typeof stream.unref === "function") stream.unref();
    }
  }
}
