/**
 * The process that started this one: it speaks in lines on our standard input, is told things on our standard output,
 * and is gone when the input ends.
 *
 * @module
 */
import { LineQueue } from "../../platform/line_queue.ts";
import { standardInput, writeStandardOutput } from "../../platform/standard_io.ts";
import { type HostReport, type OwnerMessage, parseLine } from "../host_protocol.ts";

export class Owner {
  readonly #lines = new LineQueue();
  #isGone = false;

  constructor() {
    this.#listen();
  }

  get isGone(): boolean {
    return this.#isGone;
  }

  /** The next line of one of `types`; `undefined` if the owner is gone. */
  async next<T extends OwnerMessage["type"]>(
    ...types: T[]
  ): Promise<Extract<OwnerMessage, { type: T }> | undefined> {
    const line = await this.#lines.next();
    return line === undefined ? undefined : parseLine(line, types);
  }

  report(report: HostReport): void {
    try {
      writeStandardOutput(`${JSON.stringify(report)}\n`);
    } catch {
      // The owner reads no more, which is its right.
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
