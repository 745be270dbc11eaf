/**
 * What a bench found, beside its limit: medians with their spread, as a table and as JSON.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { cpus, loadavg, totalmem } from "node:os";
import { MiB } from "../../src/base/bytes.ts";

/** Several runs of one thing. */
export interface Sample {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly runs: readonly number[];
}

/** One measured figure. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** The figure is good if it is `at most` or `at least` this. `undefined`: for information. */
  readonly limit?: { readonly kind: "at most" | "at least"; readonly value: number } | undefined;
  /** What it was made of. */
  readonly detail?: Readonly<Record<string, unknown>> | undefined;
}

export function sample(runs: readonly number[]): Sample {
  if (runs.length === 0) throw new Error("nothing was measured");
  const sorted = runs.toSorted((left, right) => left - right);
  const middle = Math.floor(sorted.length / 2);
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
  return { median, least: sorted[0]!, most: sorted.at(-1)!, runs };
}

/** `undefined` for a figure without a limit. */
export function isMet({ value, limit }: Figure): boolean | undefined {
  if (limit === undefined) return undefined;
  return limit.kind === "at most" ? value <= limit.value : value >= limit.value;
}

/** The figures as lines of a table. */
export function formatTable(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { name, value, unit, limit } = figure;
    const verdict = { true: "met", false: "MISSED", undefined: "" }[String(isMet(figure))] ?? "";
    return [
      name,
      `${round(value)} ${unit}`,
      limit === undefined ? "" : `${limit.kind} ${limit.value} ${unit}`,
      verdict,
    ];
  });
  const table = [["figure", "measured", "limit", ""], ...rows];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Where the figures come from. The load says how far to trust them. */
export function describeMachine(): Readonly<Record<string, unknown>> {
  const runtime = "Bun" in globalThis ? `bun ${process.versions["bun"]}` : `deno ${process.versions["deno"]}`;
  return {
    runtime,
    processor: cpus()[0]?.model ?? "unknown",
    processors: cpus().length,
    memoryMiB: Math.round(totalmem() / MiB),
    kernel: readFileSync("/proc/sys/kernel/osrelease", "utf8").trim(),
    loadAverage: loadavg()[0],
    isKvmHost: process.env["KVM_HOST"] === "1",
  };
}

function round(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toFixed(2);
}
