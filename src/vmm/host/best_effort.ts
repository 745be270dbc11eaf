/** Writing down what happens to a sandbox, which must not depend on that. @module */
import { messageOf } from "../../base/errors.ts";

/**
 * Writes something down about an end, or a drain on the way to it, or clears away behind it; a full disk must not keep the
 * end from coming. What is missing in the state database, or left, is left to the next look.
 */
export function noteIfPossible(write: () => unknown): void {
  try {
    write();
  } catch (error) {
    console.error(messageOf(error)); // into the diagnostics
  }
}
