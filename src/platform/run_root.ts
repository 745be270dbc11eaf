/**
 * The run root: where running VMs have their sockets.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { errnoOf, IoError, messageOf, UnsupportedError } from "../base/errors.ts";
import { absoluteDirectory } from "./home.ts";
import { isRunRoot } from "./run_root_check.ts";
import { checkTrusted, ownUid, UntrustedPathError } from "./trust.ts";
import { SOCKET_PATH_BYTES_MAX } from "./unix_socket.ts";

/** Room for a boot's directory and a socket in it: `/` and 16 digits, `/` and a name of at most 10 bytes. */
const RUN_NAMES_BYTES = 28;
/** How many further names are tried in the temporary directory when other users have taken the ones before. */
const SPARE_NAMES = 8;

/**
 * Creates, if need be, the directory in which each running VM has a directory of its own. Its name has a digest of the
 * home's path, so that two homes never share one.
 *
 * Uses the first of these places that works: `XDG_RUNTIME_DIR`, the temporary directory, the home, and the temporary
 * directory again under other names. The home is not the first because its path may be too long for a socket, or its file
 * system may have no sockets. It is on the list because no other user can take a name there, as they can in `/tmp`.
 *
 * @throws {UnsupportedError} if none of them can be used.
 */
export function ensureRunRoot(home: string): string {
  const problems: string[] = [];
  for (const directory of candidates(home)) {
    try {
      makeRunRoot(directory);
      return directory;
    } catch (error) {
      problems.push(messageOf(error).split("\n", 1)[0] ?? "");
    }
  }
  throw new UnsupportedError(
    `No directory can be used for sockets:\n${problems.map((problem) => `  ${problem}`).join("\n")}`,
    { hint: "set XDG_RUNTIME_DIR to a directory of your own with a short path" },
  );
}

/** The run roots of a home that exist and are ours. A process with another `XDG_RUNTIME_DIR` uses another one. */
export function existingRunRoots(home: string): string[] {
  return candidates(home).filter(isRunRoot);
}

function candidates(home: string): string[] {
  const digest = createHash("sha256").update(home).digest("hex").slice(0, 12);
  const name = `msb-${ownUid()}-${digest}`;
  const runtime = absoluteDirectory("XDG_RUNTIME_DIR");
  const bases = runtime === undefined ? [tmpdir(), home] : [runtime, tmpdir(), home];
  const spares = Array.from({ length: SPARE_NAMES }, (_, index) => join(tmpdir(), `${name}-${index + 1}`));
  return [...bases.map((base) => join(base, name)), ...spares];
}

function makeRunRoot(directory: string): void {
  if (Buffer.byteLength(directory) + RUN_NAMES_BYTES > SOCKET_PATH_BYTES_MAX) {
    throw new UnsupportedError(`${directory}: the paths of its sockets would be too long`);
  }
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    // Something other than a directory has the name; the check below has the better message.
    if (errnoOf(error) !== "EEXIST") throw new IoError(`create ${directory}`, directory, error);
  }
  const found = lstatSync(directory);
  if (!found.isDirectory()) throw new UnsupportedError(`${directory} is not a directory`);
  if (found.uid === ownUid()) chmodSync(directory, 0o700); // an umask may have left less
  checkTrusted(directory);
  if (found.uid !== ownUid()) {
    throw new UntrustedPathError(directory, directory, `belongs to user ${found.uid}`, "use another");
  }
}
