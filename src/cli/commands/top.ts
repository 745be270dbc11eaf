/** `msb top`: the programs in a sandbox, live. @module */
import { setTimeout as delay } from "node:timers/promises";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Sandbox, type SandboxHandle, type SandboxMetrics, SandboxNotRunningError } from "../../../mod.ts";
import { formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { formatBytes, formatDuration, formatMiB } from "../format.ts";
import { LiveScreen } from "../live_screen.ts";
import { parseSampleInterval, SAMPLE_INTERVAL_MS } from "../parse.ts";
import { PROCESS_COLUMNS, type ProcessRow, type TimedList, toRows } from "../process_table.ts";
import { formatJson, formatTable } from "../table.ts";

const EMPTY = "No program runs.";

export function topCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("top")
    .summary("show the programs in a sandbox, live")
    .description(
      "Shows the programs in a running sandbox, the busiest first: on a terminal until Ctrl-C or until the sandbox has ended, else once.",
    )
    .argument("<name>", "the sandbox")
    .option("--no-stream", "show it once")
    .option(
      "--interval <time>",
      "time to look at each program, e.g. 500ms or 2s (default: 1s)",
      parseSampleInterval,
    )
    .addOption(formatOption())
    .option("--json", "show it once, as JSON, sizes in bytes and times in milliseconds")
    .action(async (name, { stream, interval = SAMPLE_INTERVAL_MS, ...flags }) => {
      const handle = await Sandbox.get(name);
      const first = await list(handle);
      const json = wantsJson(flags);
      if (stream && !json && cli.stdout.isTerminal) return await showLive(cli, handle, first, interval);
      await delay(interval, undefined, { signal: cli.signal });
      const now = await list(handle);
      const rows = toRows(first, now);
      if (json) await cli.stdout.write(formatJson({ name, total: now.total, processes: rows }));
      else await cli.stdout.write(formatTable(cli.stdout, PROCESS_COLUMNS, rows, EMPTY));
    });
}

async function showLive(
  cli: CliContext,
  handle: SandboxHandle,
  first: TimedList,
  intervalMs: number,
): Promise<void> {
  await using screen = await LiveScreen.open(cli.stdout);
  let before = first;
  for await (const metrics of handle.metricsStream(intervalMs, { signal: cli.signal })) {
    const now = await listUnlessEnded(handle);
    if (now === undefined) return;
    const rows = toRows(before, now);
    await screen.draw(`${summarize(handle.name, metrics, now, rows)}\n\n${table(cli, rows)}`);
    before = now;
  }
}

function table(cli: CliContext, rows: readonly ProcessRow[]): string {
  return formatTable(cli.stdout, PROCESS_COLUMNS, rows, EMPTY);
}

/** `"box, up 5m 10s: 3 programs, CPU 12.0 %, memory 34.1 MB of 128 MiB"`. */
function summarize(
  name: string,
  { cpuPercent, memoryBytes, memoryLimitBytes, uptimeMs }: SandboxMetrics,
  { total }: TimedList,
  rows: readonly ProcessRow[],
): string {
  const programs = `${total} program${total === 1 ? "" : "s"}${total > rows.length ? `, ${rows.length} shown` : ""}`;
  const memory = `memory ${formatBytes(memoryBytes)} of ${formatMiB(memoryLimitBytes / 2 ** 20)}`;
  return `${name}, up ${formatDuration(uptimeMs)}: ${programs}, CPU ${cpuPercent.toFixed(1)} %, ${memory}`;
}

async function list(handle: SandboxHandle): Promise<TimedList> {
  return { ...(await handle.processes()), atMs: performance.now() };
}

async function listUnlessEnded(handle: SandboxHandle): Promise<TimedList | undefined> {
  try {
    return await list(handle);
  } catch (error) {
    if (error instanceof SandboxNotRunningError) return undefined;
    throw error;
  }
}
