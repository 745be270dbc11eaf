/**
 * The command line tool as users start it: a process of its own, on pipes or on a pseudo-terminal.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Why nothing can be run on a pseudo-terminal here; `undefined` where it can. */
export const terminalProblem: string | undefined = existsSync("/usr/bin/script")
  ? undefined
  : "script is missing: apt-get install bsdutils";

const CLI = fileURLToPath(new URL("../../../cli.ts", import.meta.url));
/** What runs `msb` on the runtime of this test. */
export const CLI_COMMAND: readonly string[] =
  "Deno" in globalThis ? [process.execPath, "run", "--allow-all", "--quiet", CLI] : [process.execPath, CLI];

/** What is sent once something has been shown. */
export interface Reply {
  readonly after: string | RegExp;
  /** Text for its input, or a signal. */
  readonly send: string | { readonly signal: NodeJS.Signals };
}

export interface CliProcessOptions {
  /** Its whole input, at once. Without it and without `replies`, it has none. */
  readonly input?: string;
  /** In order. With them, its input stays open. */
  readonly replies?: readonly Reply[];
  /** Columns and rows of a pseudo-terminal. Everything is then in `stdout`. */
  readonly terminal?: { readonly columns: number; readonly rows: number };
  readonly environment?: Readonly<Record<string, string>>;
  /** Stop reading its output after so many bytes. */
  readonly readBytesMax?: number;
}

export interface CliResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `msb` with `words` to its end. */
export async function spawnCli(
  words: readonly string[],
  options: CliProcessOptions = {},
): Promise<CliResult> {
  const { input, replies, terminal, environment } = options;
  const [file = "", ...args] =
    terminal === undefined ? [...CLI_COMMAND, ...words] : onTerminal(words, terminal);
  const child = spawn(file, args, {
    env: { ...process.env, NO_COLOR: "1", ...environment },
    stdio: [input === undefined && replies === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  child.stdin?.on("error", () => {}); // it may end before it has read all
  const shown = { stdout: "", stderr: "" };
  const waiting = [...(replies ?? [])];
  const answer = () => {
    const next = waiting[0];
    if (next === undefined || !matches(shown.stdout + shown.stderr, next.after)) return;
    waiting.shift();
    send(child, next.send);
  };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      shown[name] += text;
      answer();
      if (shown.stdout.length >= (options.readBytesMax ?? Number.POSITIVE_INFINITY)) child.stdout?.destroy();
    });
  }
  if (input !== undefined) child.stdin?.end(input);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  return { status, ...shown };
}

function send(child: ChildProcess, what: Reply["send"]): void {
  if (typeof what === "string") child.stdin?.write(what);
  else child.kill(what.signal);
}

function matches(text: string, wanted: string | RegExp): boolean {
  return typeof wanted === "string" ? text.includes(wanted) : wanted.test(text);
}

/** util-linux's `script` gives a program a terminal, and its exit status back. */
function onTerminal(
  words: readonly string[],
  { columns, rows }: { readonly columns: number; readonly rows: number },
): string[] {
  const quoted = [...CLI_COMMAND, ...words].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ");
  return ["/usr/bin/script", "-qec", `stty columns ${columns} rows ${rows}; exec ${quoted}`, "/dev/null"];
}
