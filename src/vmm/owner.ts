/**
 * The process that started this one: it speaks in lines on our standard input, is told things on our standard output,
 * and is gone when the input ends.
 *
 * @module
 */
import { LineQueue } from "../platform/child.ts";
import { type HostReport, type OwnerMessage, parseLine } from "./config.ts";

export class Owner {
  readonly #lines = new LineQueue();
  #isGone = false;

  constructor() {
    process.stdin.on("data", (chunk: Uint8Array) => this.#lines.push(chunk));
    const gone = () => {
      this.#isGone = true;
      this.#lines.end();
    };
    process.stdin.on("end", gone);
    process.stdin.on("error", gone);
    process.stdout.on("error", () => {}); // the owner reads no more, which is its right
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
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
}
