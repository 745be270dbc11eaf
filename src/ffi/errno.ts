/** Names of errno values. @module */
import { getSystemErrorName } from "node:util";

/** The name of a positive errno on this system, e.g. `"EINVAL"` of 22; `"E" + number` where it has none. */
export function errnoName(errno: number): string {
  const fallback = `E${errno}`;
  try {
    // Unknown numbers give undefined, a sentence or an exception, depending on the runtime.
    const name: string | undefined = getSystemErrorName(-errno);
    return name !== undefined && /^E[A-Z0-9]+$/.test(name) ? name : fallback;
  } catch {
    return fallback;
  }
}
