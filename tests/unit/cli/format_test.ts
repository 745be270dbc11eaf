/** Numbers, times and tables as people see them, and as programs do. @module */
import assert from "node:assert/strict";
import { formatAge, formatBytes, formatDuration, formatMiB, shortDigest } from "../../../src/cli/format.ts";
import { Output } from "../../../src/cli/output.ts";
import { type Column, formatPairs, formatTable } from "../../../src/cli/table.ts";
import { MemoryStream } from "../../support/cli/cli.ts";
import { test } from "../../support/harness.ts";

const TERMINAL = new Output(new MemoryStream({ isTTY: true }));
const PLAIN = new Output(new MemoryStream({ isTTY: true }), { NO_COLOR: "1" });
const PIPE = new Output(new MemoryStream());

interface Row {
  readonly name: string;
  readonly size: number;
}
const COLUMNS: readonly Column<Row>[] = [
  { heading: "NAME", value: ({ name }) => name },
  { heading: "SIZE", value: ({ size }) => size, shown: ({ size }) => formatBytes(size), align: "right" },
];
const ROWS = [
  { name: "one", size: 999 },
  { name: "日本語", size: 12_345_678 },
];

test("formatBytes() has at most three digits, and rounds into the next unit", () => {
  const sizes = [0, 999, 1000, 8_123_456, 99_949, 99_950, 999_499, 999_500, 5e15];
  assert.deepEqual(sizes.map(formatBytes), [
    "0 B",
    "999 B",
    "1.0 kB",
    "8.1 MB",
    "99.9 kB",
    "100 kB",
    "999 kB",
    "1.0 MB",
    "5000 TB",
  ]);
});

test("formatMiB() says GiB where that is exact", () => {
  assert.deepEqual([64, 512, 1024, 1536, 4096, 5000].map(formatMiB), [
    "64 MiB",
    "512 MiB",
    "1 GiB",
    "1.5 GiB",
    "4 GiB",
    "5000 MiB",
  ]);
});

test("formatAge() says the largest unit, and never the future", () => {
  const now = Date.now();
  const ages = [-5, 0, 1, 59, 60, 7199, 7200, 200_000].map((seconds) =>
    formatAge(new Date(now - seconds * 1000), now),
  );
  assert.deepEqual(ages, [
    "just now",
    "just now",
    "1 second ago",
    "59 seconds ago",
    "1 minute ago",
    "1 hour ago",
    "2 hours ago",
    "2 days ago",
  ]);
});

test("shortDigest() cuts digests, and nothing else", () => {
  assert.equal(shortDigest(`sha256:${"ab".repeat(32)}`), "sha256:abababababab");
  assert.equal(shortDigest("docker.io/library/alpine:3"), "docker.io/library/alpine:3");
});

test("formatTable() aligns columns for a terminal, by what characters take there", () => {
  assert.equal(
    formatTable(PLAIN, COLUMNS, ROWS, "none"),
    ["NAME        SIZE", "one        999 B", "日本語   12.3 MB", ""].join("\n"),
  );
  assert.equal(formatTable(PLAIN, COLUMNS, [], "none"), "none\n");
});

test("formatTable() has colour only where a terminal wants it", () => {
  assert.ok(formatTable(TERMINAL, COLUMNS, ROWS, "").includes("\x1b[1mNAME"));
  for (const output of [PLAIN, PIPE]) assert.ok(!formatTable(output, COLUMNS, ROWS, "").includes("\x1b"));
});

test("formatTable() gives a program bare values, one row a line and nothing for none", () => {
  assert.equal(formatTable(PIPE, COLUMNS, ROWS, "none"), "one\t999\n日本語\t12345678\n");
  assert.equal(formatTable(PIPE, COLUMNS, [], "none"), "");
});

test("formatTable() lets no control character through", () => {
  const rows = [{ name: "a\x1b[31m\tb\n", size: 1 }];
  assert.equal(formatTable(PIPE, COLUMNS, rows, ""), "a [31m b \t1\n");
});

test("formatPairs() leaves out what is not known", () => {
  const pairs = [
    ["name", "web"],
    ["user", undefined],
    ["cpus", 2],
  ] as const;
  assert.equal(formatPairs(PIPE, pairs), "name\tweb\ncpus\t2\n");
  assert.equal(formatPairs(PLAIN, pairs), "name   web\ncpus   2\n");
});

test("formatDuration() gives the two largest units", () => {
  const cases: readonly (readonly [number, string])[] = [
    [0, "0s"],
    [999, "0s"],
    [7_400, "7s"],
    [310_000, "5m 10s"],
    [3_600_000, "1h 0m"],
    [90_061_000, "1d 1h"],
    [273_600_000, "3d 4h"],
  ];
  for (const [durationMs, text] of cases) assert.equal(formatDuration(durationMs), text);
});
