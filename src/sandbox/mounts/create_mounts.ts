/**
 * Mounts that are asked for with a creation: those that are stored with the sandbox, and those that this process serves.
 *
 * @module
 */
import { checkObject } from "../../base/parse_config.ts";
import type { FileSystemProvider } from "../../mount/provider.ts";
import { checkMountTarget, type MountOptions } from "../../options/mount_options.ts";
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

/** Takes the file systems of this process out. @throws {InvalidConfigError} for a target that cannot be. */
export function splitMounts(options: SandboxCreateOptions): {
  readonly stored: SandboxOptions;
  readonly providers: Providers;
} {
  checkObject(options, "options");
  const { mounts, ...others } = options;
  if (mounts === undefined) return { stored: others, providers: new Map() };
  checkObject(mounts, "mounts");
  const providers = new Map<string, FileSystemProvider>();
  const stored: Record<string, MountOptions> = {};
  for (const [target, what] of Object.entries(mounts)) {
    if (isProvider(what)) providers.set(checkMountTarget(target), what);
    else stored[target] = what;
  }
  return { stored: { ...others, mounts: stored }, providers };
}

/** Mounts them. If one fails, the sandbox that was just created is destroyed. */
export async function mountProviders(sandbox: Sandbox, providers: Providers): Promise<void> {
  try {
    for (const [target, provider] of providers) await sandbox.mounts.add(target, provider);
  } catch (error) {
    await sandbox.destroy();
    throw error;
  }
}
