/**
 * What a sandbox begins with, and which options that leaves open.
 *
 * @module
 */
import { type ConfigIssue, InvalidConfigError } from "../base/errors.ts";
import type { SandboxOptions } from "./sandbox_options.ts";

type Origin = Pick<SandboxOptions, "image" | "rootDirectory" | "fromSnapshot" | "diskMiB" | "rootDisk">;

/** A sandbox comes from an image or a snapshot. An empty `image` counts as unset, because builders may leave it empty. @throws {InvalidConfigError} */
export function checkOrigin({ image = "", rootDirectory, fromSnapshot, diskMiB, rootDisk }: Origin): void {
  const issues: ConfigIssue[] = [];
  if (image === "" && fromSnapshot === undefined && rootDirectory === undefined)
    issues.push({ field: "image", problem: "must be given, or fromSnapshot instead" });
  if (rootDirectory !== undefined && (image !== "" || fromSnapshot !== undefined))
    issues.push({
      field: "rootDirectory",
      problem: `cannot be combined with ${image === "" ? "fromSnapshot" : "image"}, which it replaces`,
    });
  if (image !== "" && fromSnapshot !== undefined)
    issues.push({
      field: "fromSnapshot",
      problem: "cannot be combined with image: the snapshot has its own",
    });
  if (diskMiB !== undefined && fromSnapshot !== undefined)
    issues.push({
      field: "diskMiB",
      problem: "cannot be combined with fromSnapshot: the disk keeps its size",
    });
  const other =
    fromSnapshot !== undefined
      ? "fromSnapshot, which has its own"
      : diskMiB !== undefined
        ? "diskMiB"
        : undefined;
  if (rootDisk !== undefined && other !== undefined)
    issues.push({ field: "rootDisk", problem: `cannot be combined with ${other}` });
  if (issues.length > 0) throw new InvalidConfigError(issues);
}
