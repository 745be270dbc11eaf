/** Reading everything, beside `msb logs`: once within a process, once as a whole process that prints the text. */
import { execFileSync } from "node:child_process";
import { existsSync, writeSync } from "node:fs";
import { readLogDirectory } from "../../src/logs/read_logs.ts";
import type { Figure } from "../support/figures.ts";
import { childArguments, type Fixture, median, SANDBOX, timed } from "./fixture.ts";

const MSB = new URL("../../node_modules/@superradcompany/microsandbox-linux-x64-gnu/bin/msb", import.meta.url)
  .pathname;

export async function compareFullRead(fixture: Fixture, pairs: number): Promise<Figure[]> {
  const [entries, data, printed, theirs]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let pair = 0; pair < pairs; pair++) {
    entries.push(await timed(() => readAll(fixture, false)));
    if (existsSync(MSB)) theirs.push(await timed(() => runMsb(fixture)));
    data.push(await timed(() => readAll(fixture, true)));
    printed.push(await timed(() => run(process.execPath, childArguments(`--print=${fixture.directory}`))));
  }
  const figures: Figure[] = [
    { name: "full read, parsed entries", value: median(entries), unit: "ms" },
    { name: "full read, parsed entries and their data", value: median(data), unit: "ms" },
    { name: "full read and print, a process of its own", value: median(printed), unit: "ms" },
  ];
  if (theirs.length === 0) return figures;
  const base = median(theirs);
  return [
    ...figures,
    { name: "full read and print, msb logs", value: base, unit: "ms" },
    {
      name: "full read: as fast as msb logs, entries",
      value: base / median(entries),
      unit: "times",
      limit: { kind: "at least", value: 1.5 },
    },
    {
      name: "full read: as fast as msb logs, entries and data",
      value: base / median(data),
      unit: "times",
      limit: { kind: "at least", value: 1.5 },
    },
    {
      name: "full read: as fast as msb logs, process and print",
      value: base / median(printed),
      unit: "times",
    },
  ];
}

async function readAll(fixture: Fixture, withData: boolean): Promise<void> {
  const entries = await readLogDirectory(fixture);
  let sum = 0;
  for (const { timestampMs, source, sessionId, data } of withData ? entries.map(fields) : []) {
    sum += timestampMs + source.length + (sessionId ?? 0) + data.length;
  }
  if (entries.length !== fixture.records || Number.isNaN(sum))
    throw new Error(`${entries.length} entries were read`);
}

function fields(entry: { timestamp: Date; source: string; sessionId: number | null; data: Uint8Array }) {
  return {
    timestampMs: entry.timestamp.getTime(),
    source: entry.source,
    sessionId: entry.sessionId,
    data: entry.data,
  };
}

function runMsb({ home }: Fixture): void {
  run(MSB, ["logs", SANDBOX], { HOME: home });
}

function run(command: string, args: string[], environment: Record<string, string> = {}): void {
  execFileSync(command, args, {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, ...environment },
  });
}

/** What the child process does: as `msb logs`, all text to standard output. */
export async function printEntries(directory: string): Promise<void> {
  let parts: Uint8Array[] = [];
  let sizeBytes = 0;
  const flush = () => {
    writeSync(1, Buffer.concat(parts));
    parts = [];
    sizeBytes = 0;
  };
  for (const { data } of await readLogDirectory({ directory, sandboxId: SANDBOX })) {
    parts.push(data);
    sizeBytes += data.length;
    if (sizeBytes > 1 << 18) flush();
  }
  flush();
}
