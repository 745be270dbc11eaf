/**
 * Where running VMs have their sockets.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { IoError, UnsupportedError } from "../base/errors.ts";
import { absoluteDirectory } from "./home.ts";
import { SOCKET_PATH_BYTES_MAX } from "./unix_socket.ts";

/** Room for a boot's directory and a socket in it: `/` and 16 digits, `/` and a name of at most 10 bytes. */
const RUN_NAMES_BYTES = 28;

/**
 * The directory under which each running VM has a directory of its own. Not below the home, whose path may be too long
 * for a socket or lie on a file system that has none; named after the home, so that two homes never meet.
 *
 * @throws {UnsupportedError} if somebody else owns a directory of that name, or its path is too long for sockets.
 */
export function ensureRunRoot(home: string): string {
  const user = process.getuid?.() ?? userInfo().uid; // userInfo() throws for a uid without a name
  const base = absoluteDirectory("XDG_RUNTIME_DIR") ?? tmpdir();
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
