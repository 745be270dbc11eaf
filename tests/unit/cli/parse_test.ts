/** Values of flags, read and refused. @module */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  collect,
  collectList,
  parseCount,
  parseDurationMs,
  parseEnv,
  parseEnvFile,
  parsePair,
  parsePort,
  parseRlimit,
  parseSizeMiB,
  parseTime,
} from "../../../src/cli/parse.ts";
import { temporaryDirectory, test } from "../../support/harness.ts";

function refuses(parse: (text: string) => unknown, texts: readonly string[]): void {
  for (const text of texts)
    assert.throws(
      () => parse(text),
      { name: "InvalidArgumentError", code: "commander.invalidArgument" },
      text,
    );
}

test("parseDurationMs() takes units, and seconds without one", () => {
  const texts = ["0", "30", "500ms", "30s", "1.5m", "2h", "1d"];
  assert.deepEqual(texts.map(parseDurationMs), [0, 30_000, 500, 30_000, 90_000, 7_200_000, 86_400_000]);
  refuses(parseDurationMs, ["", "s", "-1s", "1 s", "1w", "1e3", "0x10", "Infinity"]);
});

test("parseSizeMiB() takes units of powers of two, and MiB without one", () => {
  const texts = ["512", "512M", "512m", "512MB", "512MiB", "1G", "1.5g", "1T", "2048k"];
  assert.deepEqual(texts.map(parseSizeMiB), [512, 512, 512, 512, 512, 1024, 1536, 1_048_576, 2]);
  refuses(parseSizeMiB, ["", "M", "-1M", "12Q", "1.0001M", "1k", "1 G"]);
});

test("parseCount() takes whole numbers only", () => {
  assert.deepEqual(["0", "7"].map(parseCount), [0, 7]);
  refuses(parseCount, ["", "-1", "1.5", "1e3", "9".repeat(16)]);
});

test("parsePort() takes a pair of ports, with an address before it and a protocol behind it", () => {
  assert.deepEqual(parsePort("8080:80"), { hostPort: 8080, guestPort: 80 });
  assert.deepEqual(parsePort("0.0.0.0:8080:80"), { bind: "0.0.0.0", hostPort: 8080, guestPort: 80 });
  assert.deepEqual(parsePort("[::1]:0:80"), { bind: "::1", hostPort: 0, guestPort: 80 });
  assert.deepEqual(parsePort("5353:53/udp"), { hostPort: 5353, guestPort: 53, protocol: "udp" });
  assert.deepEqual(parsePort("8080:80/tcp"), { hostPort: 8080, guestPort: 80 });
  assert.deepEqual(parsePort("80"), { hostPort: 0, guestPort: 80 });
  assert.deepEqual(parsePort("53/udp"), { hostPort: 0, guestPort: 53, protocol: "udp" });
  refuses(parsePort, [
    "",
    "8080:",
    "127.0.0.1:80",
    ":80",
    "::1:8080:80",
    "8080:80/sctp",
    "a:80",
    "123456:80",
  ]);
});

test("parsePair() splits at the first equals sign", () => {
  assert.deepEqual(parsePair("A=b=c"), ["A", "b=c"]);
  assert.deepEqual(parsePair("A="), ["A", ""]);
  refuses(parsePair, ["", "A", "=b"]);
});

test("parseEnv() takes a pair, or the name of a variable of its own process", () => {
  process.env["MSB_TEST_PARSE_ENV"] = "a=b";
  try {
    assert.deepEqual(parseEnv("A=b=c"), ["A", "b=c"]);
    assert.deepEqual(parseEnv("MSB_TEST_PARSE_ENV"), ["MSB_TEST_PARSE_ENV", "a=b"]);
  } finally {
    delete process.env["MSB_TEST_PARSE_ENV"];
  }
  refuses(parseEnv, ["", "MSB_TEST_PARSE_ENV", "=b"]);
});

test("parseEnvFile() reads lines as Docker does, and names the line that is wrong", () => {
  using directory = temporaryDirectory();
  const path = join(directory.path, "env");
  writeFileSync(path, "# comment\n\nA=1\r\n  B=two words # kept\nC=\n");
  assert.deepEqual(parseEnvFile(path), [
    ["A", "1"],
    ["B", "two words # kept"],
    ["C", ""],
  ]);
  writeFileSync(path, "A=1\n=2\n");
  assert.throws(() => parseEnvFile(path), /Line 2 of /);
  refuses(parseEnvFile, [join(directory.path, "missing")]);
});

test("parseRlimit() takes one limit or two", () => {
  assert.deepEqual(parseRlimit("nofile=1024"), ["nofile", { soft: 1024 }]);
  assert.deepEqual(parseRlimit("core=0:unlimited"), ["core", { soft: 0, hard: "unlimited" }]);
  refuses(parseRlimit, ["", "nofile", "nofile=", "nofile=-1", "NOFILE=1", "nofile=1:2:3"]);
});

test("parseTime() takes a time, and how long ago", () => {
  const now = Date.parse("2026-01-31T12:00:00Z");
  assert.equal(parseTime("5m", now).toISOString(), "2026-01-31T11:55:00.000Z");
  assert.equal(parseTime("2026-01-31T12:00:00+01:00", now).toISOString(), "2026-01-31T11:00:00.000Z");
  refuses((text) => parseTime(text, now), ["", "yesterday", "5 m"]);
});

test("collect() and collectList() keep what came before", () => {
  assert.deepEqual(collect(parseCount)("2", collect(parseCount)("1", undefined)), [1, 2]);
  const list = collectList(["stdout", "stderr"]);
  assert.deepEqual(list("stderr", list("stdout,stderr", undefined)), ["stdout", "stderr", "stderr"]);
  refuses((text) => list(text, undefined), ["", "stdin", "stdout,", "stdout, stderr"]);
});
