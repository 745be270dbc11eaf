/**
 * Samples and examples run as they are written: once on Bun, and then once more, on Deno, with what the first run left.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../contract/source_files.ts";
import { vmTest } from "../support/harness.ts";
import { imageProblem } from "../support/vm/images.ts";
import { runProgram } from "./run_sample.ts";
import { withSampleHome } from "./sample_home.ts";
import { programDirectory } from "./sample_program.ts";
import { allSamples, type Sample } from "./samples.ts";

/** Until one page counts as hung: each of its samples boots a sandbox, and some boot several. */
const PAGE_TIMEOUT_MS = 600_000;

const RUNTIMES = ["bun", "deno"] as const;
/** An example that serves until it is ended says so. */
const SERVES = /^export default \{/m;

const samples = allSamples().filter(({ mode }) => mode === "vm");

for (const [file, ofFile] of Map.groupBy(samples, (sample) => sample.file)) {
  vmTest(`the samples of ${file} run, and run again`, () => runTwice(ofFile), {
    timeoutMs: PAGE_TIMEOUT_MS,
    missing: imageProblem,
  });
}

vmTest(
  "the programs in examples/ run, and run again",
  () =>
    withSampleHome(async (home) => {
      const names = readdirSync(join(ROOT, "examples")).map((name) => join(ROOT, "examples", name));
      const programs = names.filter((path) => !SERVES.test(readFileSync(path, "utf8")));
      for (const runtime of RUNTIMES)
        for (const path of programs) await runProgram(path, { runtime, ...home });
    }),
  { timeoutMs: PAGE_TIMEOUT_MS, missing: imageProblem },
);

async function runTwice(ofFile: readonly Sample[]): Promise<void> {
  using programs = programDirectory();
  const paths = ofFile.map((sample) => programs.write(sample));
  await withSampleHome(async (home) => {
    for (const runtime of RUNTIMES) {
      for (const path of paths) {
        await home.loadImage();
        await runProgram(path, { runtime, ...home });
      }
    }
  });
}
