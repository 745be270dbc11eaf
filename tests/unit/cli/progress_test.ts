/** What a pull shows: one line that grows on a terminal, plain lines on a pipe. @module */
import assert from "node:assert/strict";
import type { PullProgress } from "../../../mod.ts";
import { Output } from "../../../src/cli/output.ts";
import { formatStage, showProgress } from "../../../src/cli/progress.ts";
import { PullMeter } from "../../../src/cli/pull_meter.ts";
import { MemoryStream } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";

const reference = "registry.test/app:1";
const digest = "sha256:00";
/** Two layers of 600 and 400 bytes; the first is unpacked while the second arrives. */
const PULL: readonly PullProgress[] = [
  { kind: "resolving", reference },
  { kind: "resolved", reference, manifestDigest: digest, layerCount: 2, totalDownloadBytes: 1000 },
  { kind: "layerDownloadProgress", layerIndex: 0, digest, downloadedBytes: 300, totalBytes: 600 },
  { kind: "layerDownloadComplete", layerIndex: 0, digest, downloadedBytes: 600 },
  { kind: "layerMaterializeStarted", layerIndex: 0, diffId: digest },
  { kind: "layerMaterializeProgress", layerIndex: 0, bytesRead: 500, totalBytes: 600 },
  { kind: "layerDownloadProgress", layerIndex: 1, digest, downloadedBytes: 100, totalBytes: 400 },
  { kind: "layerDownloadComplete", layerIndex: 1, digest, downloadedBytes: 400 },
  { kind: "layerMaterializeComplete", layerIndex: 0, diffId: digest },
  { kind: "layerMaterializeStarted", layerIndex: 1, diffId: digest },
  { kind: "layerMaterializeComplete", layerIndex: 1, diffId: digest },
  { kind: "stitchWritingFsmeta" },
  { kind: "stitchComplete", sizeBytes: 8_100_000 },
  { kind: "complete", reference, layerCount: 2 },
];

test("PullMeter counts each byte twice, and never goes back", () => {
  const meter = new PullMeter();
  const stages = PULL.map((event) => meter.update(event));
  const fractions = stages.map(({ progress }) =>
    progress === undefined ? 0 : progress.done / progress.total,
  );
  assert.deepEqual(
    fractions,
    [...fractions].sort((a, b) => a - b),
  );
  assert.deepEqual(
    [stages[2], stages[6], stages[8]],
    [
      { label: "Downloading", progress: { done: 300, total: 2000 }, bytes: { done: 300, total: 1000 } },
      { label: "Downloading", progress: { done: 1200, total: 2000 }, bytes: { done: 700, total: 1000 } },
      { label: "Unpacking", progress: { done: 1600, total: 2000 }, bytes: { done: 600, total: 1000 } },
    ],
  );
  assert.deepEqual([fractions.at(0), fractions.at(-1)], [0, 1]);
});

test("showProgress() writes plain lines to what is no terminal", () => {
  const stream = new MemoryStream();
  using progress = showProgress(new Output(stream));
  for (const event of PULL) progress.pull(event);
  progress.step("Booting");
  assert.equal(
    stream.text,
    [
      `${reference}: resolving`,
      `${reference}: 2 layers, 1.0 kB`,
      "layer 1 of 2: downloaded, 600 B",
      "layer 2 of 2: downloaded, 400 B",
      "layer 1 of 2: unpacked",
      "layer 2 of 2: unpacked",
      "disk written, 8.1 MB",
      `${reference}: complete`,
      "",
    ].join("\n"),
  );
});

test("showProgress() says nothing of an image that is there", () => {
  for (const isTTY of [false, true]) {
    const stream = new MemoryStream({ isTTY });
    using progress = showProgress(new Output(stream));
    progress.pull({ kind: "complete", reference, layerCount: 2 });
    assert.equal(stream.text, "", String(isTTY));
  }
});

test("showProgress() draws one line on a terminal, and leaves nothing", () => {
  const stream = new MemoryStream({ isTTY: true });
  {
    using progress = showProgress(new Output(stream, { NO_COLOR: "1" }));
    for (const event of PULL) progress.pull(event);
    progress.step("Booting");
  }
  assert.ok(stream.text.includes("Resolving …"), stream.text);
  assert.ok(!stream.text.includes("\n"));
  assert.ok(!stream.text.includes("\x1b[3"), "colour");
  assert.ok(stream.text.includes("\x1b[?25h"), "the cursor is back");
  assert.ok(stream.text.endsWith("\x1b[2K"), "the line is gone");
});

test("showProgress() is silent with --quiet", () => {
  const stream = new MemoryStream({ isTTY: true });
  using progress = showProgress(new Output(stream), { quiet: true });
  for (const event of PULL) progress.pull(event);
  progress.disk("Copying", { doneBytes: 1, totalBytes: 2 });
  assert.equal(stream.text, "");
});

test("showProgress() reports a disk on a pipe at each quarter", () => {
  const stream = new MemoryStream();
  using progress = showProgress(new Output(stream));
  for (let percent = 0; percent <= 100; percent++)
    progress.disk("Saving", { doneBytes: percent * 1e6, totalBytes: 1e8 });
  assert.equal(stream.text, [25, 50, 75, 100].map((percent) => `Saving: ${percent}%\n`).join(""));
});

test("formatStage() fits the terminal", () => {
  const stage = {
    label: "Downloading",
    progress: { done: 500, total: 1000 },
    bytes: { done: 5e6, total: 1e7 },
  };
  for (const columns of [10, 20, 60, 80, 200]) {
    const text = formatStage(
      stage,
      new Output(new MemoryStream({ isTTY: true, columns }), { NO_COLOR: "1" }),
    );
    assert.ok(text.length < columns, `${columns}: ${text}`);
  }
  const wide = formatStage(stage, new Output(new MemoryStream({ isTTY: true }), { NO_COLOR: "1" }));
  assert.equal(wide, `Downloading       ${"█".repeat(14)}${"░".repeat(14)}  50% 5.0 MB of 10.0 MB`);
  assert.equal(formatStage({ label: "Resolving" }, PLAIN), "Resolving …");
});

const PLAIN = new Output(new MemoryStream());
