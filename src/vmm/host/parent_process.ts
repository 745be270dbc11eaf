/**
 * The process that started this one. It sends lines to our standard input, reads lines from our standard output, and is
 * gone when the input ends.
 *
 * @module
 */
import { LineQueue } from "../../platform/line_queue.ts";
import { standardInput, writeStandardOutput } from "../../platform/standard_io.ts";
import { type HostReport, type ParentMessage, parseLine } from "../host_protocol.ts";

export class ParentProcess {
  readonly #lines = new LineQueue();
  #isGone = false;

  constructor() {
    this.#listen();
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** The next line of one of `types`; `undefined` if the parent is gone. */
  async next<T extends ParentMessage["type"]>(
    ...types: T[]
  ): Promise<Extract<ParentMessage, { type: T }> | undefined> {
    const line = await this.#lines.next();
    return line === undefined ? undefined : parseLine(line, types);
  }

  report(report: HostReport): void {
    try {
      writeStandardOutput(`${JSON.stringify(report)}\n`);
    } catch {
      // The parent reads no more, which it may.
    }
  }

  async #listen(): Promise<void> {
    try {
      for await (const chunk of standardInput()) this.#lines.push(chunk);
    } catch {
      // As good as its end.
    }
    this.#isGone = true;
    this.#lines.end();
  }
}
