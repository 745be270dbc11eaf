/** How many descriptors this process may have. @module */
import { readFileSync } from "node:fs";

/** The soft limit (RLIMIT_NOFILE); `Infinity` if there is none, or it cannot be told. */
export function descriptorLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
