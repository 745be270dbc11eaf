/** What tells a file from all others, whatever path leads to it. @module */
import type { BigIntStats } from "node:fs";

/** The same text for the same file, good as a name. */
export function fileIdentity({ dev, ino }: Pick<BigIntStats, "dev" | "ino">): string {
  return `${dev}-${ino}`;
}
