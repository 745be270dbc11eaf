/**
 * Numbers and times as people read them.
 *
 * @module
 */

const SIZE_UNITS = ["B", "kB", "MB", "GB", "TB"] as const;
const AGE_UNITS: readonly (readonly [unit: string, seconds: number])[] = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** In powers of 1,000, with three digits: `"8.1 MB"`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < SIZE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? value.toFixed(0) : value.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

/** `"512 MiB"`, `"4 GiB"`: sizes that people choose in powers of two. */
export function formatMiB(sizeMiB: number): string {
  return sizeMiB >= 1024 && sizeMiB % 512 === 0 ? `${sizeMiB / 1024} GiB` : `${sizeMiB} MiB`;
}

/** `"3 hours ago"`. */
export function formatAge(time: Date, now: number = Date.now()): string {
  const seconds = Math.max(0, Math.floor((now - time.getTime()) / 1000));
  for (const [unit, size] of AGE_UNITS) {
    const count = Math.floor(seconds / size);
    if (count > 0) return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
  }
  return "just now";
}

/** `"3d 4h"`, `"5m 10s"`, `"7s"`: the two largest units of a duration. */
export function formatDuration(durationMs: number): string {
  let seconds = Math.floor(durationMs / 1000);
  const parts: string[] = [];
  for (const [unit, size] of AGE_UNITS) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0 || parts.length > 0 || size === 1) parts.push(`${count}${unit[0]}`);
  }
  return parts.slice(0, 2).join(" ");
}

/** `"sha256:0123456789ab"`. */
export function shortDigest(digest: string): string {
  return digest.replace(/^(\w+:[0-9a-f]{12})[0-9a-f]+$/, "$1");
}
