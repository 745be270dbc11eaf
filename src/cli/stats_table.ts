/** What sandboxes use, as `msb stats` shows it. @module */
import type { SandboxHandle, SandboxMetrics } from "../../mod.ts";
import { formatBytes, formatDuration, formatMiB } from "./format.ts";
import type { Column } from "./table.ts";

/** One sandbox, with its latest sample. */
export interface StatsRow {
  readonly handle: Pick<SandboxHandle, "name" | "id">;
  /** `undefined` until there is one, or if there is none. */
  readonly metrics: SandboxMetrics | undefined;
}

/** Stands where there is no number. */
const UNKNOWN = "-";

/** The most important first: a narrow terminal has no room for the last ones. */
export const STATS_COLUMNS: readonly Column<StatsRow>[] = [
  { heading: "NAME", value: ({ handle }) => handle.name },
  column("CPU %", ({ cpuPercent }) => Number(cpuPercent.toFixed(2)), formatPercent),
  bytes("MEMORY", ({ memoryBytes }) => memoryBytes),
  column(
    "LIMIT",
    ({ memoryLimitBytes }) => memoryLimitBytes,
    (bytes) => formatMiB(bytes / 2 ** 20),
  ),
  bytes("READ", ({ diskReadBytes }) => diskReadBytes),
  bytes("WRITTEN", ({ diskWriteBytes }) => diskWriteBytes),
  bytes("NET IN", ({ netRxBytes }) => netRxBytes),
  bytes("NET OUT", ({ netTxBytes }) => netTxBytes),
  bytes("DISK", ({ upperUsedBytes }) => upperUsedBytes),
  bytes("HOST MEMORY", ({ memoryHostResidentBytes }) => memoryHostResidentBytes),
  bytes("HOST DISK", ({ upperHostAllocatedBytes }) => upperHostAllocatedBytes),
  column("UPTIME", ({ uptimeMs }) => uptimeMs, formatDuration),
];

/** One line of JSON. */
export function toStatsJson({ handle: { name, id }, metrics }: StatsRow): string {
  return JSON.stringify({ name, id, ...metrics });
}

function bytes(heading: string, value: (metrics: SandboxMetrics) => number | null): Column<StatsRow> {
  return column(heading, value, formatBytes);
}

function column(
  heading: string,
  value: (metrics: SandboxMetrics) => number | null,
  format: (value: number) => string,
): Column<StatsRow> {
  const read = ({ metrics }: StatsRow) => (metrics === undefined ? null : value(metrics));
  return {
    heading,
    value: (row) => read(row) ?? UNKNOWN,
    shown: (row) => {
      const known = read(row);
      return known === null ? UNKNOWN : format(known);
    },
    align: "right",
  };
}

function formatPercent(percent: number): string {
  return percent.toFixed(1);
}
