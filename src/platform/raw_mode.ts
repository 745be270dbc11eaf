/**
 * Raw mode of the terminal at standard input, and the way back from it, however this process ends.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { writeSync } from "node:fs";
import process from "node:process";
import { MicrosandboxError, type MicrosandboxErrorOptions, messageOf } from "../base/errors.ts";
import { findProgram } from "./find_program.ts";

/** The terminal of this process cannot be used (`terminal`). */
export class TerminalError extends MicrosandboxError {
  /** Creates the error with this message. */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("terminal", message, options);
  }
}

/**
 * Signals that end a process. A handler for one keeps the process alive, so a program that has one of its own decides what
 * happens to the terminal: it exits, which restores it, or goes on.
 */
const ENDING_SIGNALS = [
  "SIGINT",
  "SIGTERM",
  "SIGHUP",
  "SIGQUIT",
] as const satisfies readonly NodeJS.Signals[];

/** Seconds that a shell may take to notice that its job has died. */
const SHELL_REACTS_S = "0.2";

/**
 * Waits for the end of its input, which the kernel brings about when this process is gone, and cleans up: sends the terminal
 * the sequences of the last line that it has read, and sets the mode, if it is still ours. It is in a session of its own,
 * where no key and no hang-up reaches it. An interactive shell sets the terminal to a mode of its own when its job dies;
 * the pause lets it go first.
 */
const WATCHDOG = `
exec 3<&1
undo=
while read -r line; do undo=$line; done
printf %b "$undo"
sleep ${SHELL_REACTS_S}
[ "$("$1" -g <&3)" = "$3" ] && "$1" "$2" <&3`;
const STANDARD_OUTPUT = 1;

/** One at a time: what a second one would restore is the mode of the first. */
let inUse: RawMode | undefined;

/** Made by {@linkcode RawMode.enter}; ended by disposing of it, or by the end of the process. */
export class RawMode implements Disposable {
  readonly #stty: string;
  readonly #saved: string;
  readonly #raw: string;
  #watchdog: ChildProcess;
  readonly #leave: () => void;
  readonly #onResumed: () => void;
  #isRaw = true;
  #undo = "";

  /**
   * Keystrokes reach this process as they are, ^C among them, and what it writes reaches the screen as it is.
   *
   * @param onResumed Called when the process was stopped, goes on, and the terminal is in raw mode again.
   * @throws {TerminalError} if standard input is no terminal, or is in raw mode already.
   */
  static enter(onResumed: () => void = () => {}): RawMode {
    checkTerminal();
    inUse = new RawMode(findStty(), onResumed);
    return inUse;
  }

  private constructor(stty: string, onResumed: () => void) {
    this.#stty = stty;
    this.#onResumed = onResumed;
    this.#saved = runStty(stty, ["-g"]);
    this.#leave = listen({
      exit: () => this.#restore(),
      uncaughtExceptionMonitor: () => this.#crash(),
      SIGTSTP: () => this.#stop(),
      SIGCONT: () => this.#continue(),
      ...Object.fromEntries(ENDING_SIGNALS.map((signal) => [signal, () => this.#end(signal)])),
    });
    try {
      // `raw` leaves these two on: what is typed is not shown here, and no key means more than itself.
      runStty(stty, ["raw", "-echo", "-iexten"]);
      this.#raw = runStty(stty, ["-g"]);
    } catch (error) {
      this.#leave();
      runStty(stty, [this.#saved]);
      throw error;
    }
    this.#watchdog = this.#watch();
  }

  /** Tells what has to be written to the terminal besides, if this process should die. */
  set undo(sequences: string) {
    this.#undo = sequences;
    this.#tell(sequences);
  }

  /** Gives the terminal back as it was. */
  [Symbol.dispose](): void {
    if (inUse !== this) return;
    inUse = undefined;
    this.#leave();
    this.#restore();
  }

  #restore(): void {
    this.#watchdog.kill("SIGKILL"); // at once: it must not do the same again
    this.#cleanUp();
  }

  /** Never throws: the terminal may be gone, which is why the process ends. */
  #cleanUp(): void {
    if (!this.#isRaw) return;
    this.#isRaw = false;
    if (this.#undo !== "") writeNow(this.#undo);
    spawnSync(this.#stty, [this.#saved], { stdio: ["inherit", "ignore", "ignore"] });
  }

  #crash(): void {
    if (process.listenerCount("uncaughtException") > 0) return; // the process goes on
    this.#restore(); // the message about the error is shown as usual
    setImmediate(() => {
      if (inUse !== this) return;
      this.#watchdog = this.#watch(); // Bun goes on, too, while a module waits at its top level
      this.#continue();
    });
  }

  #end(signal: NodeJS.Signals): void {
    if (process.listenerCount(signal) > 1) return;
    this[Symbol.dispose](); // our handler is gone, too: the signal does now what it does without one
    process.kill(process.pid, signal);
  }

  #stop(): void {
    if (process.listenerCount("SIGTSTP") > 1) return;
    this.#cleanUp();
    this.#tell("");
    process.kill(process.pid, "SIGSTOP");
  }

  /** Also after a SIGSTOP, which cannot be seen to come. */
  #continue(): void {
    spawnSync(this.#stty, [this.#raw], { stdio: ["inherit", "ignore", "ignore"] });
    this.#isRaw = true;
    this.#tell(this.#undo);
    this.#onResumed();
  }

  #tell(undo: string): void {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is the escape character that is meant
    this.#watchdog.stdin?.write(`${undo.replace(/\x1b/g, "\\033")}\n`);
  }

  /** Bun lets a child have neither our standard input as its output nor a fourth descriptor: it gets the output's terminal. */
  #watch(): ChildProcess {
    const output = process.stdout.isTTY ? 1 : process.stderr.isTTY ? 2 : "ignore";
    const child = spawn("/bin/sh", ["-c", WATCHDOG, "sh", this.#stty, this.#saved, this.#raw], {
      detached: true,
      stdio: ["pipe", output, "ignore"],
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin" },
      cwd: "/",
    });
    child.on("error", () => {}); // then only a crash leaves the terminal in raw mode
    child.stdin?.on("error", () => {});
    child.unref();
    const { stdin } = child;
    if (stdin !== null && "unref" in stdin && typeof stdin.unref === "function") stdin.unref();
    return child;
  }
}

/** @throws {TerminalError} if standard input is no terminal, or is in raw mode already. */
export function checkTerminal(): void {
  if (process.stdin.isTTY !== true) {
    throw new TerminalError("Standard input is not a terminal", {
      hint: "start the program in a terminal, or give attach() a `terminal` of your own",
    });
  }
  if (inUse !== undefined)
    throw new TerminalError("The terminal of this process is attached to a program already");
}

/**
 * The size of the terminal at standard input, `undefined` if it does not say. `process.stdout` may be something else, and
 * misses what happens while this process is stopped.
 *
 * @throws {TerminalError} if there is none.
 */
export function terminalSize(): { readonly rows: number; readonly columns: number } | undefined {
  const [rows = 0, columns = 0] = runStty(findStty(), ["size"]).split(" ").map(Number);
  return rows > 0 && columns > 0 ? { rows, columns } : undefined;
}

function findStty(): string {
  const stty = findProgram("stty");
  if (stty !== undefined) return stty;
  throw new TerminalError("Cannot use the terminal: there is no stty", {
    hint: "install coreutils or busybox",
  });
}

/** Before this process ends or stops: nothing is written later. */
function writeNow(text: string): void {
  try {
    writeSync(STANDARD_OUTPUT, text);
  } catch {
    // the terminal is gone
  }
}

function runStty(stty: string, args: readonly string[]): string {
  const { error, status, stdout, stderr } = spawnSync(stty, args, {
    stdio: ["inherit", "pipe", "pipe"],
    encoding: "utf8",
  });
  if (error === undefined && status === 0) return stdout.trim();
  const reason = error === undefined ? stderr.trim() : messageOf(error);
  throw new TerminalError(`Cannot use the terminal: ${reason}`, { cause: error });
}

/** Adds listeners to the process. Returns how to take them away. */
function listen(listeners: Readonly<Record<string, () => void>>): () => void {
  for (const [event, listener] of Object.entries(listeners)) process.on(event, listener);
  return () => {
    for (const [event, listener] of Object.entries(listeners)) process.off(event, listener);
  };
}
