/**
 * Everything that one boot writes to the sandbox's log directory.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type ExecLogWriter, openExecLogWriter, SANDBOX_STARTED_TEXT } from "../../logs/exec_log_writer.ts";
import { type EndOfBoot, endOfBootText } from "../../logs/markers.ts";
import { openTextLogWriter, type TextLogWriter } from "../../logs/text_log_writer.ts";
import { RunFile } from "../run_directory/run_directory.ts";
import { Spool } from "../run_directory/spool.ts";

export class SandboxLogs {
  /** What programs write. */
  readonly exec: ExecLogWriter;
  readonly #texts: readonly TextLogWriter[];
  readonly #spools: readonly Spool[];

  /** Opens the logs and follows the engine's files in `runDirectory`. */
  constructor(directory: string, sandboxId: string, runDirectory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.exec = openExecLogWriter({ directory, sandboxId });
    const kernel = openTextLogWriter({ directory, sandboxId, filename: "kernel.log" });
    const runtime = openTextLogWriter({ directory, sandboxId, filename: "runtime.log" });
    this.#texts = [kernel, runtime];
    this.#spools = [
      new Spool(join(runDirectory, RunFile.console), (chunk) => kernel.write(chunk)),
      new Spool(join(runDirectory, RunFile.diagnostics), (chunk) => runtime.write(chunk)),
    ];
  }

  started(): void {
    this.exec.system(SANDBOX_STARTED_TEXT);
  }

  /** Writes the last records and waits until the disk has them. */
  ended(end: EndOfBoot, reason: string): void {
    this.exec.endOfStreams(); // nothing may come behind the marker: by it, followers know that they have read all
    this.exec.system(endOfBootText(end, reason));
    for (const spool of this.#spools) spool.close();
    for (const log of [this.exec, ...this.#texts]) {
      log.sync();
      log.close();
    }
  }
}
