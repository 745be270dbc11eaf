/**
 * A tree of this machine as text, to compare two of them: each path with kind, mode, size, time and content.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** Lets this user read and remove a tree, whatever its modes are; root may anyway. */
export function makeRemovable(directory: string): void {
  if (process.getuid?.() !== 0) execFileSync("chmod", ["-R", "u+rwX", directory]);
}

/** What of a tree is compared, besides paths, kinds and content. */
export interface ListingOptions {
  readonly modes?: boolean;
  /** Times of files and links, to the microsecond at best: `node:fs` has them as numbers of seconds. */
  readonly times?: boolean;
}

/** One line for each entry, sorted. */
export function listTree(directory: string, options: ListingOptions = {}): string[] {
  const lines: string[] = [];
  const visit = (path: string) => {
    const full = join(directory, path);
    const status = lstatSync(full);
    const mode = options.modes === true ? ` ${(status.mode & 0o7777).toString(8)}` : "";
    const time = options.times === true ? ` ${Math.round(status.mtimeMs)}` : "";
    lines.push(`${path || "."} ${describe(full, status)}${mode}${time}`);
    if (!status.isDirectory()) return;
    for (const name of readdirSync(full).sort()) visit(path === "" ? name : `${path}/${name}`);
  };
  visit("");
  return lines;
}

function describe(path: string, status: ReturnType<typeof lstatSync>): string {
  if (status === undefined) return "gone";
  if (status.isDirectory()) return "directory";
  if (status.isSymbolicLink()) return `-> ${readlinkSync(path)}`;
  if (!status.isFile()) return "special";
  const digest = createHash("sha256").update(readFileSync(path)).digest("hex");
  return `file ${status.size} ${digest.slice(0, 16)} links ${status.nlink}`;
}
