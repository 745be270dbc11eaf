/** Writes the entries of a log for a person or a program. @module */
import type { LogEntry } from "../../mod.ts";
import type { CliContext } from "./context.ts";
import { formatLogEntry, formatLogJson } from "./log_text.ts";
import { TerminalFilter } from "./terminal_text.ts";

/** How entries are shown. */
export interface EntryFormat {
  readonly timestamps?: true | undefined;
  readonly json?: true | undefined;
  readonly raw?: true | undefined;
}

/** Writes entries to standard output and standard error, which share a terminal but not the state of its filter. */
export class LogWriter {
  readonly #cli: CliContext;
  readonly #flags: EntryFormat;
  readonly #filters = { stdout: new TerminalFilter(), stderr: new TerminalFilter() };

  constructor(cli: CliContext, flags: EntryFormat) {
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
