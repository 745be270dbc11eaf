/**
 * The home: where images, sandboxes and the state database are kept.
 *
 * @module
 */
import { chmodSync, mkdirSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { IoError } from "../base/errors.ts";
import { checkTrusted, ownUid } from "./trust.ts";

/** For the owner only: the home holds the environment, the logs and the disks of every sandbox. */
const HOME_MODE = 0o700;

/** The path of everything that outlives a VM: `MSB_HOME`, else `microsandbox` in the XDG data directory. */
export function homeDirectory(): string {
  const chosen = process.env["MSB_HOME"];
  if (chosen) return resolve(chosen);
  return join(absoluteDirectory("XDG_DATA_HOME") ?? join(homedir(), ".local", "share"), "microsandbox");
}

/**
 * Checks a home before anything in it is used, and returns its path. Creates it with mode 0700 if it does not exist;
 * closes one of ours that other users can read.
 *
 * @throws {UntrustedPathError} if another user owns it, or could have put files there.
 * @throws {IoError} if it cannot be created or looked at.
 */
export function openHome(home: string = homeDirectory()): string {
  try {
    mkdirSync(home, { recursive: true, mode: HOME_MODE });
  } catch (error) {
    throw new IoError(`create ${home}`, home, error);
  }
  const directory = checkTrusted(home);
  try {
    const { uid, mode } = statSync(directory);
    if (uid === ownUid() && (mode & 0o777 & ~HOME_MODE) !== 0) chmodSync(directory, HOME_MODE);
  } catch (error) {
    throw new IoError(`close ${home} to other users`, home, error);
  }
  return home;
}

/** The paths inside a home. */
export function homePaths(home: string): {
  /** The state database. Nothing else is in its directory, and nothing may watch that. */
  readonly state: string;
  /** Where earlier releases had the state database. */
  readonly formerState: string;
  /** A file that is written to after each change of the state; followers watch its directory. */
  readonly changes: string;
  readonly sandboxes: string;
  /** A file for each sandbox, locked while its VM host process lives. Nothing may watch the directory. */
  readonly locks: string;
  /** A file for each disk of a user that a sandbox has had, locked while a VM has the disk. Nothing may watch it. */
  readonly diskLocks: string;
  readonly trash: string;
  /** Directories of sandboxes that the state database did not know when their name was taken. */
  readonly lost: string;
  readonly kernels: string;
  readonly bootDisks: string;
  /** Certificate and key of the authority whose certificates the guests of this home trust, in one file. */
  readonly authority: string;
  /** Named volumes, each with its locks. Nothing may watch the directory. */
  readonly volumes: string;
} {
  return {
    state: join(home, "state", "state.sqlite"),
    formerState: join(home, "registry.sqlite"),
    changes: join(home, "changes", "latest"),
    sandboxes: join(home, "sandboxes"),
    locks: join(home, "locks"),
    diskLocks: join(home, "locks", "disks"),
    trash: join(home, "trash"),
    lost: join(home, "lost"),
    kernels: join(home, "cache", "kernels"),
    bootDisks: join(home, "cache", "boot"),
    authority: join(home, "tls", "ca.pem"),
    volumes: join(home, "volumes"),
  };
}

/** A directory named by a variable; a path that is not absolute is ignored (XDG Base Directory Specification). */
export function absoluteDirectory(variable: string): string | undefined {
  const path = process.env[variable];
  return path !== undefined && isAbsolute(path) ? path : undefined;
}
