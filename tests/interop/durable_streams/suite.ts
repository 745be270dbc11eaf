/** Runs the suite of the Durable Streams protocol against a server: by vitest on Node.js, for which it was written. @module */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { temporaryDirectory } from "../../support/harness.ts";

/** How one test of the suite went. */
export interface Verdict {
  /** The titles of the groups that it stands in. */
  readonly group: string;
  readonly title: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly problems: readonly string[];
}

/** What of vitest's report is used. */
interface Report {
  readonly testResults: readonly {
    readonly message?: string;
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

const HERE = fileURLToPath(new URL(".", import.meta.url));
const VITEST = fileURLToPath(new URL("../../../node_modules/vitest/vitest.mjs", import.meta.url));

/** The verdicts on the server at `url`, about all tests but those of the given full names, which are skipped. */
export async function judge(url: string, leftOut: readonly string[]): Promise<readonly Verdict[]> {
  using directory = temporaryDirectory();
  const reportFile = join(directory.path, "report.json");
  const names = leftOut.map((name) => name.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const args = [VITEST, "run", "--root", HERE, "--config", "vitest_config.ts"];
  args.push(
    "--reporter=json",
    `--outputFile=${reportFile}`,
    "--testNamePattern",
    `^(?!(?:${names.join("|")})$)`,
  );
  const child = spawn("node", args, {
    cwd: directory.path,
    env: { ...process.env, CONFORMANCE_TEST_URL: url, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (bytes) => output.push(String(bytes)));
  await new Promise((resolve, reject) => {
    child.once("error", (cause) => reject(new Error("Cannot run the suite: Node.js is needed", { cause })));
    child.once("close", resolve);
  });
  return verdictsOf(reportFile, output.join(""));
}

function verdictsOf(reportFile: string, output: string): Verdict[] {
  let report: Report;
  try {
    report = JSON.parse(readFileSync(reportFile, "utf8"));
  } catch (cause) {
    throw new Error(`vitest has left no report, but said: ${output}`, { cause });
  }
  return report.testResults.flatMap(({ message, assertionResults }) => {
    if (assertionResults.length === 0) throw new Error(`The suite did not run: ${message}`);
    return assertionResults.map(({ ancestorTitles, title, status, failureMessages }) => ({
      group: ancestorTitles.join(" > "),
      title,
      status: status === "passed" || status === "failed" ? status : "skipped",
      problems: failureMessages ?? [],
    }));
  });
}
