/** What should not depend on the size of the log: the last entries, and the last second. */
import { readLogDirectory } from "../../src/logs/read_logs.ts";
import type { LogReadOptions } from "../../src/logs/types.ts";
import type { Figure } from "../support/figures.ts";
import { type Fixture, median, quantile, timed, writeFixture } from "./fixture.ts";

const RUNS = 30;

export async function measureSeeks(fixture: Fixture): Promise<Figure[]> {
  const small = writeFixture(fixture.home, "small", 6_500);
  const figures: Figure[] = [];
  for (const [log, name] of [
    [small, "1 MiB"],
    [fixture, "50 MiB"],
  ] as const) {
    const tail = await repeat(log, { tail: 50 }, 50);
    const since = await repeat(log, { since: log.newestMs - 990 }, 100);
    figures.push(
      {
        name: `tail of 50 in ${name}, median`,
        value: median(tail),
        unit: "ms",
        limit: { kind: "at most", value: 10 },
      },
      { name: `tail of 50 in ${name}, p95`, value: quantile(tail, 0.95), unit: "ms" },
      {
        name: `since one second ago in ${name}, median`,
        value: median(since),
        unit: "ms",
        limit: { kind: "at most", value: 20 },
      },
      { name: `since one second ago in ${name}, p95`, value: quantile(since, 0.95), unit: "ms" },
    );
  }
  return figures;
}

async function repeat(log: Fixture, options: LogReadOptions, expected: number): Promise<number[]> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    times.push(
      await timed(async () => {
        const { length } = await readLogDirectory(log, options);
        if (length !== expected) throw new Error(`${length} entries instead of ${expected}`);
      }),
    );
  }
  return times;
}
