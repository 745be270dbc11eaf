/** `msb logs`: what the programs of a sandbox wrote. @module */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { type LogEntry, type LogReadOptions, Sandbox } from "../../../mod.ts";
import type { CliContext } from "../context.ts";
import { type EntryFormat, LogWriter } from "../log_writer.ts";
import { collectList, parseCount, parseTime } from "../parse.ts";

const SOURCES = ["stdout", "stderr", "output", "system", "network", "all"] as const;

interface LogFlags extends EntryFormat {
  readonly follow?: true | undefined;
  readonly tail?: number | undefined;
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
