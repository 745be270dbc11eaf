/**
 * What a new sandbox is made of.
 *
 * @module
 */
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import type { SandboxOptions } from "./sandbox_options.ts";

/** A sandbox is made of an image or of a snapshot. An empty image is none: builders and defaults may leave it so. */
export function checkOrigin({ image = "", fromSnapshot, diskMiB }: SandboxOptions): void {
  const issues: ConfigIssue[] = [];
  if (image === "" && fromSnapshot === undefined)
    issues.push({ field: "image", problem: "must be given, or fromSnapshot instead" });
  if (image !== "" && fromSnapshot !== undefined)
    issues.push({ field: "fromSnapshot", problem: "must not be set beside image: the snapshot has its own" });
  if (diskMiB !== undefined && fromSnapshot !== undefined)
    issues.push({ field: "diskMiB", problem: "must not be set beside fromSnapshot: the disk has its size" });
  if (issues.length > 0) throw new InvalidConfigError(issues);
}
