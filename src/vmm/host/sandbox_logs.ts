/**
 * Everything that one boot writes to the sandbox's log directory.
 *
 * @module
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type ExecLogWriter, openExecLogWriter, SANDBOX_STARTED_TEXT } from "../../logs/exec_log_writer.ts";
import { type EndOfBoot, endOfBootText } from "../../logs/markers.ts";
import { type NetworkLogWriter, openNetworkLogWriter } from "../../logs/network_log_writer.ts";
import { openTextLogWriter, type TextLogWriter } from "../../logs/text_log_writer.ts";
import { RunFile } from "../run_directory/run_directory.ts";
import { Spool } from "../run_directory/spool.ts";

export class SandboxLogs {
  /** What programs write. */
  readonly exec: ExecLogWriter;
  readonly #texts: readonly TextLogWriter[];
  readonly #spools: readonly Spool[];
  readonly #place: { readonly directory: string; readonly sandboxId: string };
  #network: NetworkLogWriter | undefined;
  #hasEnded = false;

  /** Opens the logs and follows the engine's files in `runDirectory`. */
  constructor(directory: string, sandboxId: string, runDirectory: string) {
    this.#place = { directory, sandboxId };
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

  /** Adds a decision about a flow of the guest's. Once the logs have ended it is dropped. */
  flow(record: object): void {
    this.#networkLog()?.append(record);
  }

  /** Notes decisions that were lost on the way. */
  flowsLost(records: number): void {
    this.#networkLog()?.lose(records);
  }

  started(): void {
    this.exec.system(SANDBOX_STARTED_TEXT);
  }

  /** Writes the last records and waits until the disk has them. */
  ended(end: EndOfBoot, reason: string): void {
    this.exec.endOfStreams(); // nothing may come behind the marker: by it, followers know that they have read all
    this.exec.system(endOfBootText(end, reason));
    for (const spool of this.#spools) spool.close();
    this.#hasEnded = true;
    for (const log of [this.exec, ...this.#texts, ...(this.#network === undefined ? [] : [this.#network])]) {
      log.sync();
      log.close();
    }
  }

  /** Most sandboxes have no network whose flows are known: the log is opened with the first. */
  #networkLog(): NetworkLogWriter | undefined {
    if (!this.#hasEnded) this.#network ??= openNetworkLogWriter(this.#place);
    return this.#hasEnded ? undefined : this.#network;
  }
}
