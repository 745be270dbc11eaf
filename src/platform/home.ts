/**
 * Where things are kept: the home (images, sandboxes, state database).
 *
 * @module
 */
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";

/** Everything that outlives a VM: `MSB_HOME`, else `microsandbox` in the XDG data directory. */
export function homeDirectory(): string {
  const chosen = process.env["MSB_HOME"];
  if (chosen) return resolve(chosen);
  return join(absoluteDirectory("XDG_DATA_HOME") ?? join(homedir(), ".local", "share"), "microsandbox");
}

/** The paths inside a home. */
export function homePaths(home: string): {
  readonly state: string;
  readonly sandboxes: string;
  readonly trash: string;
  readonly kernels: string;
  readonly bootDisks: string;
} {
  return {
    state: join(home, "registry.sqlite"),
    sandboxes: join(home, "sandboxes"),
    trash: join(home, "trash"),
    kernels: join(home, "cache", "kernels"),
    bootDisks: join(home, "cache", "boot"),
  };
}

/** A directory by a variable; one that is not absolute is to be ignored (XDG Base Directory Specification). */
export function absoluteDirectory(variable: string): string | undefined {
  const path = process.env[variable];
  return path !== undefined && isAbsolute(path) ? path : undefined;
}
