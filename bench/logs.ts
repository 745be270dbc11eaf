/**
 * How fast the logs are written, read and followed, beside `msb logs` of the npm package
 * `@superradcompany/microsandbox-linux-x64-gnu`. No VM is needed.
 *
 *     bun bench/logs.ts [RESULT.json] [--pairs=7]
 *
 * The log is 325,000 records of 161 bytes: five files of 10 MiB. Runs of ours and theirs alternate, so that drifts of
 * the machine meet both, and medians are compared. Each figure comes with its target; a target that is missed fails
 * nothing, since machines differ, but is marked.
 *
 * @module
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { writeFixture } from "./logs/fixture.ts";
import { measureFollow } from "./logs/follow.ts";
import { compareFullRead, printEntries } from "./logs/full_read.ts";
import { measureMemory, streamInChild } from "./logs/memory.ts";
import { measureSeeks } from "./logs/seeks.ts";
import { measureWriter } from "./logs/writer.ts";
import { type Figure, formatTable } from "./support/figures.ts";

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      pairs: { type: "string", default: "7" },
      print: { type: "string" },
      stream: { type: "string" },
    },
  });
  if (values.print !== undefined) return printEntries(values.print);
  if (values.stream !== undefined) return streamInChild(values.stream);
  const home = mkdtempSync(join(tmpdir(), "msb-bench-logs-"));
  try {
    const fixture = writeFixture(home);
    const figures: Figure[] = [];
    const sections = [
      () => compareFullRead(fixture, Number(values.pairs)),
      () => measureSeeks(fixture),
      () => measureFollow(fixture, home),
      () => measureWriter(home),
      () => measureMemory(fixture),
    ];
    for (const section of sections) {
      figures.push(...(await section()));
    }
    console.log(formatTable(figures));
    const [resultPath] = positionals;
    const result = { runtime: "Bun" in globalThis ? "bun" : "deno", figures };
    if (resultPath !== undefined) writeFileSync(resultPath, `${JSON.stringify(result, undefined, 2)}\n`);
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

await main();
