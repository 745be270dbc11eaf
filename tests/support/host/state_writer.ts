/**
 * A process that writes to a state database until it is killed, and says of each row that it is committed.
 *
 * Reads one {@linkcode WriterOrder} as a line, answers `ready`, and begins at the next line. Then writes the key of each
 * row once that is committed; `refused` if the database was moved, which ends it.
 *
 * @module
 */
import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../../src/base/errors.ts";
import { LineChild } from "../../../src/platform/child.ts";
import { homePaths } from "../../../src/platform/home.ts";
import { LineQueue } from "../../../src/platform/line_queue.ts";
import { runtimeCommand } from "../../../src/platform/runtime.ts";
import { Database } from "../../../src/state/database.ts";
import { openDatabase } from "../../../src/state/open_database.ts";

export interface WriterOrder {
  readonly home: string;
  /** An earlier release opens the database where that had it. */
  readonly release: "earlier" | "present";
  /** What the keys of its rows begin with. */
  readonly prefix: string;
}

/** Rows of one connection: few, so that the database is often opened. */
const ROWS_PER_CONNECTION = 4;
const CONNECTIONS_MAX = 50;

/** A writer as the test sees it. */
export class StateWriter {
  readonly #child: LineChild;

  static async start(order: WriterOrder): Promise<StateWriter> {
    const { file, args } = runtimeCommand(new URL(import.meta.url));
    const env = { ...process.env, MSB_TEST_STATE_WRITER: "1" } as Record<string, string>;
    const child = await LineChild.spawn({ file, args, env, cwd: process.cwd(), stderr: 2 });
    child.send(order);
    const line = await child.nextLine();
    if (line !== "ready") throw new Error(`the writer answered ${line}`);
    return new StateWriter(child);
  }

  private constructor(child: LineChild) {
    this.#child = child;
  }

  begin(): void {
    this.#child.send("begin");
  }

  /** Kills it; returns all that it has said. */
  async kill(): Promise<string[]> {
    this.#child.kill();
    const lines: string[] = [];
    for (let line = await this.#child.nextLine(); line !== undefined; line = await this.#child.nextLine())
      lines.push(line);
    await this.#child.exited;
    return lines;
  }
}

function write({ home, release, prefix }: WriterOrder): void {
  const say = (line: string) => writeSync(1, `${line}\n`);
  for (let connection = 0; connection < CONNECTIONS_MAX; connection++) {
    let database: Database;
    try {
      database = release === "earlier" ? new Database(homePaths(home).formerState) : openDatabase(home);
    } catch (error) {
      // An earlier release names what it was refused by; all else is a fault.
      say(
        /newer release/.test(messageOf(error)) && release === "earlier"
          ? "refused"
          : `fault: ${messageOf(error)}`,
      );
      return;
    }
    for (let row = 0; row < ROWS_PER_CONNECTION; row++) {
      const key = `${prefix}-${connection}-${row}`;
      database.run("INSERT INTO image_claim (digest, pid, start_time) VALUES (?, 1, 's')", key);
      say(key);
    }
    database.close();
  }
}

async function main(): Promise<void> {
  const lines = new LineQueue();
  process.stdin.on("data", (chunk: Uint8Array) => lines.push(chunk));
  process.stdin.on("end", () => lines.end());
  const order = JSON.parse((await lines.next()) ?? "null") as WriterOrder;
  writeSync(1, "ready\n");
  await lines.next();
  write(order);
  await lines.next(); // until it is killed
}

if (process.env["MSB_TEST_STATE_WRITER"] === "1" && process.argv[1] === fileURLToPath(import.meta.url))
  await main();
