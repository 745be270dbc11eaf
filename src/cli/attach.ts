/**
 * A program in a sandbox, connected to this terminal or to these pipes, until it has ended.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import type { ExecHandle, ExecOptions, ExecSink } from "../../mod.ts";
import type { CliContext, InputStream } from "./context.ts";
import { type EndingSignal, signalStatus } from "./interrupt.ts";

/** How the terminal is used: as the program's own where there is one, or as the flags say. */
export interface TerminalFlags {
  readonly tty?: boolean | undefined;
}

/** Whether the program gets a pseudo-terminal. */
export function wantsTerminal({ stdin, stdout }: CliContext, { tty }: TerminalFlags): boolean {
  return tty ?? (stdin.isTTY === true && stdout.isTerminal);
}

/**
 * Starts a program, passes its input, output and signals on, and gives its exit status.
 *
 * @param start starts it with these options
 * @throws {ExecFailedError | ExecTimeoutError | AgentDisconnectedError}
 * @throws {BrokenPipeError} if the reader of its output is gone; the program is killed.
 */
export async function attachProgram(
  cli: CliContext,
  flags: TerminalFlags,
  start: (options: Pick<ExecOptions, "stdin" | "tty" | "signal">) => Promise<ExecHandle>,
): Promise<number> {
  return wantsTerminal(cli, flags) ? await attachTerminal(cli, start) : await attachPipes(cli, start);
}

type Start = Parameters<typeof attachProgram>[2];

async function attachPipes(cli: CliContext, start: Start): Promise<number> {
  await using program = await start({ stdin: "pipe", signal: cli.signal });
  using _signals = cli.interrupt.redirect(passSignals(program));
  using _input = await connectInput(cli.stdin, program);
  return await copyOutput(cli, program);
}

async function attachTerminal(cli: CliContext, start: Start): Promise<number> {
  const { rows, columns } = cli.stdout;
  await using program = await start({ stdin: "pipe", tty: { rows, columns }, signal: cli.signal });
  using _signals = cli.interrupt.redirect(passSignals(program));
  using _size = followSize(cli, program);
  using _raw = rawMode(cli.stdin);
  using _input = await connectInput(cli.stdin, program);
  return await copyOutput(cli, program);
}

/** The program's terminal is as large as this one, also when this one changes. */
function followSize({ stdout }: CliContext, program: ExecHandle): Disposable {
  const resize = () => void program.resize(stdout.rows, stdout.columns);
  process.on("SIGWINCH", resize);
  return { [Symbol.dispose]: () => void process.off("SIGWINCH", resize) };
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
function passSignals(program: ExecHandle): (signal: EndingSignal) => void {
  const seen = new Set<EndingSignal>();
  return (signal) => {
    void program.signal(seen.has(signal) ? constants.signals.SIGKILL : signalStatus(signal) - 128);
    seen.add(signal);
  };
}

/**
 * Keystrokes go to the program as they are, ^C among them, and what it writes to the screen as it is: the guest's terminal
 * has turned line feeds into what a terminal wants already.
 */
function rawMode(stdin: InputStream): Disposable {
  if (stdin.isTTY !== true || stdin.setRawMode === undefined) return { [Symbol.dispose]: () => {} };
  stdin.setRawMode(true);
  // The runtimes leave output processing on, which disturbs full-screen programs. What is off comes back with the mode.
  spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
  return { [Symbol.dispose]: () => void stdin.setRawMode?.(false) };
}

/** Passes input on for as long as the program takes it; it is not read faster than that. */
async function connectInput(stdin: InputStream, program: ExecHandle): Promise<Disposable> {
  const sink = await program.takeStdin();
  return sink === null ? { [Symbol.dispose]: () => {} } : pump(stdin, sink);
}

function pump(stdin: InputStream, sink: ExecSink): Disposable {
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
  return { [Symbol.dispose]: stop };
}
