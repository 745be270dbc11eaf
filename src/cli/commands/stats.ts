/** `msb stats`: what sandboxes use, live. @module */
import { setTimeout as delay } from "node:timers/promises";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { Sandbox, type SandboxHandle, SandboxNotRunningError } from "../../../mod.ts";
import { formatOption, wantsJson } from "../command.ts";
import type { CliContext } from "../context.ts";
import { LiveScreen } from "../live_screen.ts";
import { parseSampleInterval, SAMPLE_INTERVAL_MS } from "../parse.ts";
import { listSandboxes } from "../sandbox_table.ts";
import { STATS_COLUMNS, type StatsRow, toStatsJson } from "../stats_table.ts";
import { fittingColumns, formatTable } from "../table.ts";

/** How often to look for sandboxes that have started, in milliseconds. */
const LOOK_MS = 1000;
const EMPTY = "No sandbox is running.";

export function statsCommand(cli: CliContext): CommandUnknownOpts {
  return new Command("stats")
    .alias("metrics")
    .summary("show what running sandboxes use, live")
    .description(
      "Shows processor, memory, disk and network use of running sandboxes until Ctrl-C, or until those named have ended.",
    )
    .argument("[names...]", "only these sandboxes; without, all that run, also those that start later")
    .option("--no-stream", "show it once")
    .option(
      "--interval <time>",
      "time between two samples, e.g. 500ms or 2s (default: 1s)",
      parseSampleInterval,
    )
    .addOption(formatOption())
    .option("--json", "one JSON object a line: a sample of one sandbox, sizes in bytes")
    .action(async (names, { stream, interval = SAMPLE_INTERVAL_MS, ...flags }) => {
      const json = wantsJson(flags);
      // Before the screen is another one, as what is wrong with a name is to be seen.
      const named = names.length > 0 ? await findNamed(cli, names) : undefined;
      if (!stream) return await showOnce(cli, named ?? (await findRunning()), json);
      if (named?.length === 0) return;
      await using stats = await StatsView.open(cli, interval, json);
      if (named === undefined) await stats.followAll();
      else await stats.follow(named);
    });
}

function findRunning(): Promise<SandboxHandle[]> {
  return listSandboxes({ status: ["running", "paused", "draining"] });
}

/** Those of these names; what is wrong with the others is shown, and counts. */
async function findNamed(cli: CliContext, names: readonly string[]): Promise<SandboxHandle[]> {
  const handles: SandboxHandle[] = [];
  for (const name of new Set(names)) {
    try {
      const handle = await Sandbox.get(name);
      await handle.ping();
      handles.push(handle);
    } catch (error) {
      await cli.fail(error);
    }
  }
  return handles;
}

async function showOnce(cli: CliContext, handles: readonly SandboxHandle[], json: boolean): Promise<void> {
  const measured = await cli.unlessInterrupted(
    Promise.all(handles.map((handle) => measureOnce(cli, handle))),
  );
  const rows = measured.flat();
  if (json) await cli.stdout.write(rows.map((row) => `${toStatsJson(row)}\n`).join(""));
  else await cli.stdout.write(formatTable(cli.stdout, STATS_COLUMNS, rows, EMPTY));
}

/** No row of one that has ended in this moment, or that cannot be measured. */
async function measureOnce(cli: CliContext, handle: SandboxHandle): Promise<readonly StatsRow[]> {
  try {
    return [{ handle, metrics: await handle.metrics() }];
  } catch (error) {
    if (!(error instanceof SandboxNotRunningError)) await cli.fail(error);
    return [];
  }
}

/** Follows sandboxes, and shows what they use: as a table that is drawn again, or as a line for each sample. */
class StatsView implements AsyncDisposable {
  readonly #cli: CliContext;
  readonly #intervalMs: number;
  readonly #json: boolean;
  /** Where the table is drawn; lines are written without it. */
  readonly #screen: LiveScreen | undefined;
  /** By the ids of the sandboxes that are followed, in the order in which they were found. */
  readonly #rows = new Map<string, StatsRow>();
  /** What went wrong with a sandbox last. On a screen of our own it can be shown at the end only. */
  readonly #failures = new Map<string, unknown>();

  static async open(cli: CliContext, intervalMs: number, json: boolean): Promise<StatsView> {
    const screen = cli.stdout.isTerminal && !json ? await LiveScreen.open(cli.stdout) : undefined;
    return new StatsView(cli, intervalMs, json, screen);
  }

  private constructor(cli: CliContext, intervalMs: number, json: boolean, screen: LiveScreen | undefined) {
    this.#cli = cli;
    this.#intervalMs = intervalMs;
    this.#json = json;
    this.#screen = screen;
  }

  /** Follows these sandboxes until all of them have ended. */
  async follow(handles: readonly SandboxHandle[]): Promise<void> {
    const ended = new AbortController();
    Promise.all(handles.map((handle) => this.#follow(handle))).then(() => ended.abort());
    while (!ended.signal.aborted) {
      await this.#draw();
      await this.#pause(ended.signal);
    }
  }

  /** Follows all sandboxes that run, until Ctrl-C. */
  async followAll(): Promise<void> {
    for (;;) {
      for (const handle of await findRunning()) if (!this.#rows.has(handle.id)) void this.#follow(handle);
      await this.#draw();
      await this.#pause();
    }
  }

  /** Gives the terminal back. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#screen?.[Symbol.asyncDispose]();
    if (this.#screen !== undefined) for (const error of this.#failures.values()) await this.#cli.fail(error);
  }

  /** Never rejects. */
  async #follow(handle: SandboxHandle): Promise<void> {
    const { signal } = this.#cli;
    this.#rows.set(handle.id, { handle, metrics: undefined });
    try {
      for await (const metrics of handle.metricsStream(this.#intervalMs, { signal }))
        await this.#take({ handle, metrics });
    } catch (error) {
      if (!signal.aborted && !(error instanceof SandboxNotRunningError)) await this.#fail(handle, error);
    } finally {
      this.#rows.delete(handle.id);
    }
  }

  async #take(row: StatsRow): Promise<void> {
    this.#failures.delete(row.handle.id);
    this.#rows.set(row.handle.id, row);
    if (this.#screen !== undefined) return;
    const line = this.#json
      ? `${toStatsJson(row)}\n`
      : formatTable(this.#cli.stdout, STATS_COLUMNS, [row], EMPTY);
    await this.#cli.stdout.write(line);
  }

  async #fail(handle: SandboxHandle, error: unknown): Promise<void> {
    if (this.#screen === undefined)
      await this.#cli.fail(error).catch(() => {}); // its reader is gone
    else this.#failures.set(handle.id, error);
  }

  async #draw(): Promise<void> {
    if (this.#screen === undefined) return;
    const rows = [...this.#rows.values()];
    const columns = fittingColumns(this.#cli.stdout, STATS_COLUMNS, rows);
    const left = STATS_COLUMNS.slice(columns.length).map(({ heading }) => heading);
    const note = left.length === 0 || rows.length === 0 ? "" : `\nno room for: ${left.join(", ")}\n`;
    await this.#screen.draw(`${formatTable(this.#cli.stdout, columns, rows, EMPTY)}${note}`);
  }

  /** Waits until it is time to look again, or `ended` fires. @throws what Ctrl-C throws */
  async #pause(ended?: AbortSignal): Promise<void> {
    const { signal } = this.#cli;
    const wake = ended === undefined ? signal : AbortSignal.any([signal, ended]);
    await delay(Math.min(this.#intervalMs, LOOK_MS), undefined, { signal: wake }).catch(() => {});
    signal.throwIfAborted();
  }
}
