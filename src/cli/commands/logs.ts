/** `msb logs`: what the programs of a sandbox wrote. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type LogEntry, type LogReadOptions, Sandbox } from "../../../mod.ts";
import type { CliContext } from "../context.ts";
import { formatLogEntry, formatLogJson } from "../log_text.ts";
import { collectList, parseCount, parseTime } from "../parse.ts";
import { TerminalFilter } from "../terminal_text.ts";

const SOURCES = ["stdout", "stderr", "output", "system", "all"] as const;

interface LogFlags {
  readonly follow?: true | undefined;
  readonly tail?: number | undefined;
  readonly timestamps?: true | undefined;
  readonly json?: true | undefined;
  readonly raw?: true | undefined;
}

export function logsCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("logs")
    .summary("show what the programs of a sandbox wrote")
    .description(
      "Shows what the programs of a sandbox wrote, whether it runs or not. What they wrote to standard error is written there.",
    )
    .argument("<name>", "the sandbox")
    .option("-f, --follow", "wait for more, until the sandbox ends")
    .option("--tail <count>", "only the last entries", parseCount)
    .option("--since <time>", "only from this time on: RFC 3339, or how long ago, e.g. 5m", (text) =>
      parseTime(text),
    )
    .option("--until <time>", "only before this time", (text) => parseTime(text))
    .option("--source <source>", `of ${SOURCES.join(", ")}; repeatable, or with commas`, collectList(SOURCES))
    .option("--timestamps", "begin each line with its time")
    .option("--json", "one JSON object a line, with a cursor to resume from")
    .option("--raw", "on a terminal, pass every escape sequence; without it only colours pass")
    .action(async (name, { since, until, source: sources, ...flags }) => {
      await showLogs(cli, name, { since, until, sources }, flags);
    });
}

async function showLogs(
  cli: CliContext,
  name: string,
  range: Pick<LogReadOptions, "since" | "until" | "sources">,
  flags: LogFlags,
): Promise<void> {
  const handle = await Sandbox.get(name);
  const writer = new LogWriter(cli, flags);
  const show = (entry: LogEntry) => writer.show(entry);
  let fromCursor: string | undefined;
  if (flags.tail !== undefined) {
    const { entries, cursor } = await handle.logsSnapshot({ ...range, tail: flags.tail });
    for (const entry of entries) await show(entry);
    if (flags.follow !== true) return;
    fromCursor = cursor;
  } else if (flags.follow !== true) {
    for (const entry of await handle.logs(range)) await show(entry);
    return;
  }
  await using stream = await handle.logStream({ ...range, fromCursor, follow: true, signal: cli.signal });
  for await (const entry of stream) await show(entry);
}

/** Writes entries to standard output and standard error, which share a terminal but not the state of its filter. */
class LogWriter {
  readonly #cli: CliContext;
  readonly #flags: LogFlags;
  readonly #filters = { stdout: new TerminalFilter(), stderr: new TerminalFilter() };

  constructor(cli: CliContext, flags: LogFlags) {
    this.#cli = cli;
    this.#flags = flags;
  }

  async show(entry: LogEntry): Promise<void> {
    const { stdout } = this.#cli;
    await this.#cli.throwIfInterrupted();
    if (this.#flags.json === true) return await stdout.line(formatLogJson(entry));
    const target = entry.source === "stderr" ? "stderr" : "stdout";
    const output = this.#cli[target];
    const isFiltered = output.isTerminal && this.#flags.raw !== true;
    const data = isFiltered ? this.#filters[target].filter(entry.data) : entry.data;
    const { source, timestamp } = entry;
    await output.write(formatLogEntry({ source, timestamp, data }, output, this.#flags.timestamps === true));
  }
}
