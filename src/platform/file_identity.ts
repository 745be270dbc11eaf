/** The identity of a file, independent of its path. @module */
import type { BigIntStats } from "node:fs";

/** The same text for the same file, usable as a name. */
export function fileIdentity({ dev, ino }: Pick<BigIntStats, "dev" | "ino">): string {
  return `${dev}-${ino}`;
}
