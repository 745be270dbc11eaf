/**
 * A program in a sandbox, connected to this terminal or to these pipes, until it has ended or is detached from.
 *
 * @module
 */
import { constants } from "node:os";
import { Option } from "@commander-js/extra-typings";
import {
  type AttachOptions,
  DETACHED,
  type ExecHandle,
  type ExecOptions,
  type ExecSink,
  type Job,
  TerminalError,
  type TerminalStreams,
} from "../../mod.ts";
import type { CliContext, InputStream } from "./context.ts";
import { type EndingSignal, signalStatus } from "./interrupt.ts";
import { BrokenPipeError, READER_GONE } from "./output.ts";

/** How the terminal is used: as the program's own where there is one, or as the flags say. */
export interface TerminalFlags {
  readonly tty?: boolean | undefined;
  readonly detachKeys?: string | false | undefined;
}

/** Where a program comes from: on pipes, or on a terminal. */
export interface ProgramStart {
  pipes(options: Pick<ExecOptions, "stdin" | "signal">): Promise<ExecHandle>;
  terminal(options: TerminalOptions): Promise<number>;
}

type TerminalOptions = Pick<AttachOptions, "terminal" | "detachKeys" | "signal" | "onStart">;

/** Whether the program gets a pseudo-terminal. */
export function wantsTerminal({ stdin, stdout }: CliContext, { tty }: TerminalFlags): boolean {
  return tty ?? (stdin.isTTY === true && stdout.isTerminal);
}

/** `--detach-keys`. */
export function detachKeysOption() {
  return new Option("--detach-keys <keys>", 'keys that leave the program running (default: "ctrl-p,ctrl-q")');
}

/** `--no-detach-keys`. */
export function noDetachKeysOption() {
  return new Option("--no-detach-keys", "pass all keys on to the program");
}

/** What `msb` exits with. */
export function attachStatus(code: number): number {
  return code === DETACHED ? 0 : code;
}

/**
 * Starts a program, passes its input, output and signals on, and gives its exit status, or `DETACHED`.
 *
 * @throws {ExecFailedError | ExecTimeoutError | AgentDisconnectedError}
 * @throws {BrokenPipeError} if the reader of its output is gone; the program is killed.
 */
export async function attachProgram(
  cli: CliContext,
  flags: TerminalFlags,
  sandbox: string,
  start: ProgramStart,
): Promise<number> {
  if (!wantsTerminal(cli, flags)) return await attachPipes(cli, start);
  return await attachTerminal(cli, flags, sandbox, start);
}

async function attachPipes(cli: CliContext, start: ProgramStart): Promise<number> {
  await using program = await start.pipes({ stdin: "pipe", signal: cli.signal });
  using _signals = cli.interrupt.redirect(passSignals(program));
  using _input = await connectInput(cli.stdin, program);
  return await copyOutput(cli, program);
}

async function attachTerminal(
  cli: CliContext,
  { detachKeys }: TerminalFlags,
  sandbox: string,
  start: ProgramStart,
): Promise<number> {
  using undo = new DisposableStack();
  let job: Job | undefined;
  const onStart = (started: Job) => {
    job = started;
    undo.use(cli.interrupt.redirect(passSignals(started)));
  };
  try {
    const terminal = terminalOf(cli, undo);
    const code = await start.terminal({ detachKeys, terminal, signal: cli.signal, onStart });
    if (code === DETACHED && job !== undefined) await tellDetached(cli, sandbox, job);
    return code;
  } catch (error) {
    const reason = readerGone(error);
    if (reason === undefined) throw error;
    await job?.signal(reason === "EIO" ? "SIGHUP" : "SIGKILL"); // as terminals and pipes do that have gone
    throw new BrokenPipeError("the reader is gone", { cause: error });
  }
}

/** Says how to come back. The cursor may be anywhere in a line. */
export async function tellDetached(cli: CliContext, sandbox: string, { name, id }: Job): Promise<void> {
  await cli.stderr.write(`\ndetached; attach again with: msb attach ${sandbox} ${name ?? id}\n`);
}

/** The system's name for what has become of the terminal, or of the pipe in its place; `undefined` for other errors. */
function readerGone(error: unknown): string | undefined {
  if (!(error instanceof TerminalError)) return undefined;
  const { cause } = error;
  if (cause instanceof BrokenPipeError) return "EPIPE";
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  return typeof code === "string" && READER_GONE.has(code) ? code : undefined;
}

/** This terminal, or the streams that stand for one under `--tty` where there is none. */
function terminalOf({ stdin, stdout }: CliContext, undo: DisposableStack): TerminalStreams | undefined {
  if (stdin.isTTY === true) return undefined;
  const { readable, writable } = new TransformStream<Uint8Array | string>();
  const writer = writable.getWriter();
  undo.defer(pump(stdin, { write: (chunk) => writer.write(chunk), close: () => writer.close() }));
  return {
    stdin: readable,
    stdout: new WritableStream<Uint8Array>({ write: (data) => stdout.write(data) }),
    size: { rows: stdout.rows, columns: stdout.columns },
  };
}

async function copyOutput({ stdout, stderr }: CliContext, program: ExecHandle): Promise<number> {
  for await (const event of program) {
    if (event.kind === "stdout") await stdout.write(event.data);
    else if (event.kind === "stderr") await stderr.write(event.data);
    else if (event.kind === "exited") return event.code;
  }
  throw new Error("the events of a program ended without its exit");
}

/** The first signal goes to the program, and it may take its time; the second of a kind kills it. */
function passSignals(program: Pick<ExecHandle | Job, "signal">): (signal: EndingSignal) => void {
  const seen = new Set<EndingSignal>();
  return (signal) => {
    const number = seen.has(signal) ? constants.signals.SIGKILL : signalStatus(signal) - 128;
    seen.add(signal);
    program.signal(number).catch(() => {}); // the sandbox has ended, which its end tells
  };
}

/** Passes input on for as long as the program takes it; it is not read faster than that. */
async function connectInput(stdin: InputStream, program: ExecHandle): Promise<Disposable> {
  const sink = await program.takeStdin();
  return { [Symbol.dispose]: sink === null ? () => {} : pump(stdin, sink) };
}

/** Passes input on, not faster than it is taken, until its end or until a write fails. Returns how to stop. */
export function pump(stdin: InputStream, sink: Pick<ExecSink, "write" | "close">): () => void {
  const stop = () => {
    stdin.off("data", take);
    stdin.off("end", end);
    stdin.off("error", end);
    stdin.pause();
  };
  const take = (chunk: Uint8Array | string) => {
    stdin.pause();
    sink.write(chunk).then(() => stdin.resume(), stop);
  };
  const end = () => void sink.close().catch(() => {}); // it may have exited already
  stdin.on("data", take);
  stdin.on("end", end);
  stdin.on("error", end); // a terminal that hangs up gives EIO
  return stop;
}
