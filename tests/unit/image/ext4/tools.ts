/** Shared by the ext4 tests: e2fsprogs as oracles. @module */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatExt4 } from "../../../../src/image/ext4.ts";
import { temporaryDirectory } from "../../../support/harness.ts";

export const UUID = "12345678-9abc-4def-8123-456789abcdef";
export const OVERLAY_DIRECTORIES = [
  { path: "upper", mode: 0o755 },
  { path: "work", mode: 0o700 },
] as const;

// Debian keeps these tools out of an ordinary user's PATH.
const environment = { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/sbin:/usr/sbin`, LC_ALL: "C" };

/** What a tool printed and how it ended. */
export interface ToolResult {
  readonly exitCode: number | null;
  readonly output: string;
}

export function run(command: string, ...args: string[]): ToolResult {
  const { status, stdout, stderr, error } = spawnSync(command, args, { env: environment, encoding: "utf8" });
  if (error !== undefined) return { exitCode: null, output: String(error) };
  return { exitCode: status, output: `${stdout}${stderr}` };
}

export function runSuccessfully(command: string, ...args: string[]): string {
  const { exitCode, output } = run(command, ...args);
  assert.equal(exitCode, 0, `${command} ${args.join(" ")}\n${output}`);
  return output;
}

/** Why the oracles cannot be asked; `undefined` where they can. */
export const oraclesMissing: string | undefined =
  run("e2fsck", "-V").exitCode === 0 ? undefined : "e2fsprogs is not installed";

/** Five passes, one line of totals, and no word between them. */
export function assertCheckedClean(path: string): void {
  const output = runSuccessfully("e2fsck", "-fn", path);
  const lines = output.split("\n").filter((line) => line !== "" && !/^(e2fsck \d|Pass [1-5]: )/.test(line));
  assert.equal(lines.length, 1, output);
  assert.match(lines[0]!, /: \d+\/\d+ files \([\d.]+% non-contiguous\), \d+\/\d+ blocks$/, output);
}

/** The fields of `dumpe2fs -h`, by name. */
export function dumpedFields(path: string): Map<string, string> {
  const lines = runSuccessfully("dumpe2fs", "-h", path).split("\n");
  return new Map(
    lines.flatMap((line) => {
      const match = /^([^:]+):\s+(.*)$/.exec(line);
      return match === null ? [] : [[match[1]!, match[2]!.trim()] as const];
    }),
  );
}

/** Why this process cannot mount disks; `undefined` where it can. Tried with a disk of mke2fs, not with ours. */
export function findMountProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "mounting needs root";
  using directory = temporaryDirectory();
  const disk = join(directory.path, "disk");
  const mountPoint = join(directory.path, "mount");
  mkdirSync(mountPoint);
  writeFileSync(disk, "");
  truncateSync(disk, 16 * 1024 * 1024);
  if (run("mke2fs", "-q", "-t", "ext4", disk).exitCode !== 0) return "mke2fs is not installed";
  const { exitCode, output } = run("mount", "-o", "loop", disk, mountPoint);
  if (exitCode !== 0) return `loop devices cannot be mounted: ${output.trim()}`;
  runSuccessfully("umount", mountPoint);
  return undefined;
}

/** A fresh disk with the overlay directories, at `path`. */
export async function formatOverlayDisk(path: string, sizeBytes: number): Promise<void> {
  await formatExt4({ path, sizeBytes, label: "upper", uuid: UUID, directories: OVERLAY_DIRECTORIES });
}

/** Mounts until the end of the `using` scope. */
export function mounted(mountPoint: string, ...args: string[]): { [Symbol.dispose](): void } {
  mkdirSync(mountPoint, { recursive: true });
  runSuccessfully("mount", ...args, mountPoint);
  return {
    [Symbol.dispose]: () => {
      runSuccessfully("umount", mountPoint);
      rmSync(mountPoint, { recursive: true });
    },
  };
}
