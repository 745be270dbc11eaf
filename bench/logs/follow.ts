/** A follower with a backlog, and one that waits for each line. */
import { join } from "node:path";
import { openExecLogWriter } from "../../src/logs/exec_log_writer.ts";
import { openLogStream } from "../../src/logs/log_stream.ts";
import type { Figure } from "../support/figures.ts";
import { type Fixture, median, quantile, timed } from "./fixture.ts";

const BACKLOG_RUNS = 5;
const LINES = 1000;
const isTerminal = () => Promise.resolve(false);

export async function measureFollow(fixture: Fixture, home: string): Promise<Figure[]> {
  const backlog: number[] = [];
  for (let run = 0; run < BACKLOG_RUNS; run++) backlog.push(await timed(() => readBacklog(fixture)));
  const latency = await measureLatency(join(home, "latency"));
  const megabytes = fixture.sizeBytes / 1e6;
  return [
    {
      name: "follow, backlog of 161-byte records",
      value: (megabytes / median(backlog)) * 1000,
      unit: "MB/s",
      limit: { kind: "at least", value: 200 },
    },
    {
      name: "follow, a new line arrives, median",
      value: median(latency),
      unit: "ms",
      limit: { kind: "at most", value: 5 },
    },
    {
      name: "follow, a new line arrives, p99",
      value: quantile(latency, 0.99),
      unit: "ms",
      limit: { kind: "at most", value: 20 },
    },
  ];
}

async function readBacklog(fixture: Fixture): Promise<void> {
  let left = fixture.records;
  for await (const _ of await openLogStream({ ...fixture, isTerminal }, { follow: true }))
    if (--left === 0) break;
}

/** From before the line is written to when the loop over the stream has it. */
async function measureLatency(directory: string): Promise<number[]> {
  using writer = openExecLogWriter({ directory, sandboxId: "latency" });
  await using stream = await openLogStream({ directory, sandboxId: "latency", isTerminal }, { follow: true });
  const line = Buffer.from("a line\n");
  const times: number[] = [];
  for (let count = 0; count < LINES; count++) {
    const arrived = stream.recv();
    await new Promise((resolve) => setTimeout(resolve, 2)); // the follower is asleep by now
    times.push(
      await timed(() => {
        writer.append("stdout", 1, line);
        return arrived;
      }),
    );
  }
  return times;
}
