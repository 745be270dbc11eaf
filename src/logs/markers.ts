/** The system records that frame each boot of a sandbox. Known to readers. @module */

/** The first system record of a boot. */
export const SANDBOX_STARTED_TEXT = "--- sandbox started ---";

/** The last system record of a stop, or of a kill on purpose. */
export const SANDBOX_STOPPED_TEXT = "--- sandbox stopped ---";

/** How the last system record of a sandbox begins whose VM ended without a word. */
export const SANDBOX_CRASHED_PREFIX = "--- sandbox crashed";

/** The last system record of a crash. */
export function crashedText(reason: string): string {
  return `${SANDBOX_CRASHED_PREFIX}: ${reason} ---`;
}

/** How a boot ended. */
export type EndOfBoot = "stopped" | "crashed";

/** The last system record of a boot; of a crash, with its reason. */
export function endOfBootText(end: EndOfBoot, reason: string): string {
  return end === "stopped" ? SANDBOX_STOPPED_TEXT : crashedText(reason);
}

/** After one of these nothing is written: readers take it as the end when the logs are removed under them. */
export const END_MARKS: readonly string[] = [SANDBOX_STOPPED_TEXT, SANDBOX_CRASHED_PREFIX];
