/**
 * `logResponse()` before the judges of the Durable Streams protocol. What they write goes into real logs by our own writer
 * (`stream_store.ts`); what they read is from `logResponse()` alone, on the server of this runtime.
 *
 * @module
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { LONG_POLL_MS } from "../../../src/logs/limits.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";
import { StreamStore } from "../../support/logs/stream_store.ts";
import { serveWeb } from "../../support/logs/web_server.ts";
import { ShortTimer } from "../../support/short_timer.ts";
import { NOT_APPLICABLE } from "./not_applicable.ts";
import { judge, type Verdict } from "./suite.ts";

/** So that the suite sees how a long-poll ends, for which it waits 5 s at most. */
const SHORT_POLL_MS = 500;
/** Many times what the suite takes. */
const SUITE_TIMEOUT_MS = 240_000;

const LEFT_OUT = NOT_APPLICABLE.flatMap(({ label, tests }) =>
  Object.entries(tests).flatMap(([group, titles]) => titles.map((title) => ({ group, title, label }))),
);

test(
  "logResponse() passes the suite of the Durable Streams protocol, but for named tests of what a log does not have",
  async () => {
    using directory = temporaryDirectory();
    using store = new StreamStore(directory.path);
    await using server = serveWeb((request) => store.handle(request));
    using _short = new ShortTimer(LONG_POLL_MS, SHORT_POLL_MS);
    const verdicts = await judge(
      server.url,
      LEFT_OUT.map(({ group, title }) => `${group.replaceAll(" > ", " ")} ${title}`),
    );
    const failed = verdicts.filter(({ status }) => status === "failed");
    assert.deepEqual(
      failed.map(({ group, title, problems }) => [group, title, problems[0]]),
      [],
    );
    const skipped = verdicts.filter(({ status }) => status === "skipped");
    assert.deepEqual(
      skipped.map(nameOf).sort(),
      LEFT_OUT.map(nameOf).sort(),
      "exactly the named tests are left out",
    );
    assert.equal(readTable(), formatTable(verdicts), "docs/logs.md has another table");
  },
  { timeoutMs: SUITE_TIMEOUT_MS },
);

function nameOf({ group, title }: { readonly group: string; readonly title: string }): string {
  return `${group} > ${title}`;
}

/** The groups with what runs of them, what does not, and why. */
function formatTable(verdicts: readonly Verdict[]): string {
  const labels = new Map(LEFT_OUT.map((test) => [nameOf(test), test.label]));
  const rows = new Map<string, { passed: number; leftOut: number; labels: Set<string> }>();
  for (const verdict of verdicts) {
    const group = verdict.group.split(/ > | - /, 1)[0]!;
    const row = rows.get(group) ?? { passed: 0, leftOut: 0, labels: new Set<string>() };
    rows.set(group, row);
    const label = labels.get(nameOf(verdict));
    if (label === undefined) row.passed++;
    else row.leftOut++;
    if (label !== undefined) row.labels.add(label);
  }
  const lines = [...rows].map(
    ([group, { passed, leftOut, labels }]) =>
      `| ${group} | ${passed} | ${leftOut} | ${[...labels].join(", ")} |`,
  );
  return ["| Group | Passed | Left out | Why |", "| --- | --- | --- | --- |", ...lines].join("\n");
}

function readTable(): string {
  const page = readFileSync(fileURLToPath(new URL("../../../docs/logs.md", import.meta.url)), "utf8");
  return /\| Group \| Passed [\s\S]*?\|(?=\n\n)/.exec(page)?.[0] ?? "";
}
