/** The system records that frame each boot of a sandbox, and each job in it. Known to readers. @module */

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

/** How a job ended. */
export interface LoggedExit {
  /** The exit code; 128 + signal if a signal ended it. */
  readonly code: number;
  readonly signal: number | undefined;
}

/**
 * The record of a job's exit, of its session, from the moment when the process is gone. No program can write one: what
 * programs write has other sources.
 */
export function jobExitText({ code, signal }: LoggedExit): string {
  return signal === undefined
    ? `--- job exited with code ${code} ---`
    : `--- job ended by signal ${signal} ---`;
}

/** The record that all is written which the job itself wrote. */
export const JOB_OUTPUT_OVER_TEXT = "--- job output complete ---";

const JOB_EXIT_PATTERN =
  /^--- job (?:exited with code (?<code>\d{1,10})|ended by signal (?<signal>\d{1,3})) ---$/;

/** What a system record of a session says of a job's exit; `undefined` if it is another. */
export function parseJobExit(text: string): LoggedExit | undefined {
  const { code, signal } = JOB_EXIT_PATTERN.exec(text.trimEnd())?.groups ?? {};
  if (signal !== undefined) return { code: 128 + Number(signal), signal: Number(signal) };
  return code === undefined ? undefined : { code: Number(code), signal: undefined };
}
