/**
 * Variables of programs, checked.
 *
 * @module
 */
import { z } from "zod";
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import { LABELS_MAX } from "./labels.ts";

const ENV_MAX = 4096;
const ENV_NAME_PATTERN = /^[^=\0]+$/;

/** Text that can be given to a program. */
export const noNul = z.string().refine((text) => !text.includes("\0"), "must not contain a NUL byte");

/** Variables of every program. */
export const envSchema = z.record(z.string().regex(ENV_NAME_PATTERN, "must be a variable's name"), noNul);

/** Refuses more labels and variables than a sandbox may have. @throws {InvalidConfigError} */
export function checkCounts(labels: object, env: object): void {
  const issues: ConfigIssue[] = [];
  if (Object.keys(labels).length > LABELS_MAX)
    issues.push({ field: "labels", problem: `must be at most ${LABELS_MAX}` });
  if (Object.keys(env).length > ENV_MAX) issues.push({ field: "env", problem: `must be at most ${ENV_MAX}` });
  if (issues.length > 0) throw new InvalidConfigError(issues);
}
