/**
 * Mounts that are asked for with a creation: those that are stored with the sandbox, and those that this process serves.
 *
 * @module
 */
import { type ConfigIssue, InvalidConfigError } from "../../base/errors.ts";
import { checkObject } from "../../base/parse_config.ts";
import type { FileSystemProvider } from "../../mount/provider.ts";
import { type MountOptions, normalTarget, targetProblem } from "../../options/mount_options.ts";
import type { SandboxOptions } from "../../options/sandbox_options.ts";
import type { Sandbox } from "../sandbox.ts";
import { isProvider } from "./sandbox_mounts.ts";

/** Options of `Sandbox.create()`. */
export interface SandboxCreateOptions extends Omit<SandboxOptions, "mounts"> {
  /**
   * What to mount, by its absolute path in the sandbox: see {@linkcode SandboxOptions.mounts}. A file system of this process
   * (`new MemoryFileSystem()`, or your own) is mounted last, and for this boot only.
   *
   * @default none
   */
  readonly mounts?: Readonly<Record<string, MountOptions | FileSystemProvider>> | undefined;
}

type Providers = ReadonlyMap<string, FileSystemProvider>;

/**
 * Takes the file systems of this process out, in the order in which they are mounted: one inside another comes after it.
 *
 * @throws {InvalidConfigError} for an invalid target, or one that would hide another mount.
 */
export function splitMounts(options: SandboxCreateOptions): {
  readonly stored: SandboxOptions;
  readonly providers: Providers;
} {
  checkObject(options, "options");
  const { mounts, ...others } = options;
  if (mounts === undefined) return { stored: others, providers: new Map() };
  checkObject(mounts, "mounts");
  const served: [string, FileSystemProvider][] = [];
  const stored: Record<string, MountOptions> = {};
  for (const [target, what] of Object.entries(mounts)) {
    if (isProvider(what, fieldOf(target))) served.push([target, what]);
    else stored[target] = what;
  }
  checkServed(
    served.map(([target]) => target),
    Object.keys(stored),
  );
  const providers = served
    .map(([target, provider]) => [normalTarget(target), provider] as const)
    .toSorted(([a], [b]) => (a < b ? -1 : 1)); // "/a" before "/a/b"
  return { stored: { ...others, mounts: stored }, providers: new Map(providers) };
}

/** They are mounted after all others. @throws {InvalidConfigError} */
function checkServed(served: readonly string[], stored: readonly string[]): void {
  const issues: ConfigIssue[] = [];
  const taken = new Set(stored.map(normalTarget));
  for (const target of served) {
    const normal = normalTarget(target);
    const hidden = stored.map(normalTarget).find((other) => other.startsWith(`${normal}/`));
    const problem =
      targetProblem(target) ??
      (taken.has(normal) ? "must not be given twice" : undefined) ??
      (hidden === undefined
        ? undefined
        : `would hide ${hidden}: a file system of this process is mounted last; give it another target, or mount ${hidden} by sandbox.mounts.add()`);
    if (problem !== undefined) issues.push({ field: fieldOf(target), problem });
    taken.add(normal);
  }
  if (issues.length > 0) throw new InvalidConfigError(issues);
}

function fieldOf(target: string): string {
  return `mounts[${JSON.stringify(target)}]`;
}

/** Mounts them. If one fails, the sandbox that was just created is destroyed. */
export async function mountProviders(sandbox: Sandbox, providers: Providers): Promise<void> {
  try {
    for (const [target, provider] of providers) await sandbox.mounts.add(target, provider);
  } catch (error) {
    await sandbox.destroy().catch(() => {}); // the error of the mount says more
    throw error;
  }
}
