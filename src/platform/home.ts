/**
 * Where things are kept: the home (images, sandboxes, registry) and the run root (sockets of running VMs).
 *
 * @module
 */
import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import { IoError, UnsupportedError } from "../base/errors.ts";
import { SOCKET_PATH_BYTES_MAX } from "./unix_socket.ts";

/** Room for a boot's directory and a socket in it: `/` and 16 digits, `/` and a name of at most 10 bytes. */
const RUN_NAMES_BYTES = 28;

/** Everything that outlives a VM: `MSB_HOME`, else `microsandbox` in the XDG data directory. */
export function homeDirectory(): string {
  const chosen = process.env["MSB_HOME"];
  if (chosen) return resolve(chosen);
  return join(absolute("XDG_DATA_HOME") ?? join(homedir(), ".local", "share"), "microsandbox");
}

/** The paths inside a home. */
export function homePaths(home: string): {
  readonly registry: string;
  readonly sandboxes: string;
  readonly trash: string;
  readonly kernels: string;
  readonly bootDisks: string;
} {
  return {
    registry: join(home, "registry.sqlite"),
    sandboxes: join(home, "sandboxes"),
    trash: join(home, "trash"),
    kernels: join(home, "cache", "kernels"),
    bootDisks: join(home, "cache", "boot"),
  };
}

/**
 * The directory under which each running VM has a directory of its own. Not below the home, whose path may be too long
 * for a socket or lie on a file system that has none; named after the home, so that two homes never meet.
 *
 * @throws {UnsupportedError} if somebody else owns a directory of that name, or its path is too long for sockets.
 */
export function ensureRunRoot(home: string): string {
  const user = process.getuid?.() ?? userInfo().uid; // userInfo() throws for a uid without a name
  const base = absolute("XDG_RUNTIME_DIR") ?? tmpdir();
  const digest = createHash("sha256").update(home).digest("hex").slice(0, 12);
  const directory = join(base, `msb-${user}-${digest}`);
  if (Buffer.byteLength(directory) + RUN_NAMES_BYTES > SOCKET_PATH_BYTES_MAX) {
    throw new UnsupportedError(`Cannot use ${directory} for sockets: their paths would be too long`, {
      hint: "set XDG_RUNTIME_DIR to a directory with a short path",
    });
  }
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const found = lstatSync(directory);
    // In a shared /tmp, another user could have made it first, to listen where we connect.
    if (!found.isDirectory() || found.uid !== user) {
      throw new UnsupportedError(`Cannot use ${directory} for sockets: it belongs to user ${found.uid}`, {
        hint: "set XDG_RUNTIME_DIR to a directory of your own",
      });
    }
    chmodSync(directory, 0o700);
  } catch (error) {
    throw error instanceof UnsupportedError ? error : new IoError(`create ${directory}`, directory, error);
  }
  return directory;
}

/** A directory by a variable; one that is not absolute is to be ignored (XDG Base Directory Specification). */
function absolute(variable: string): string | undefined {
  const path = process.env[variable];
  return path !== undefined && isAbsolute(path) ? path : undefined;
}
