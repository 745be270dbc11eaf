/**
 * Unix sockets as this project uses them: whole chunks in, whole chunks out, with the number of bytes that still wait.
 *
 * @module
 */
import { chmodSync } from "node:fs";
import { AbortedError, IoError } from "../base/errors.ts";
import { runtimeName } from "./runtime.ts";
import type { UnixConnection, UnixListener } from "./unix_connection.ts";

/** Longest path that fits `sockaddr_un.sun_path` (unix(7)), its NUL left out. */
export const SOCKET_PATH_BYTES_MAX = 107;

/** The runtimes' own sockets: `node:net` takes longer to load than all else that a VM host process needs. */
const transport = () =>
  runtimeName() === "bun" ? import("./unix_socket_bun.ts") : import("./unix_socket_deno.ts");

/** @throws {IoError} if no process listens there (`ENOENT`, `ECONNREFUSED`), or none can (`ENAMETOOLONG`). */
export async function connectUnix(path: string, signal?: AbortSignal): Promise<UnixConnection> {
  const action = `connect to ${path}`;
  const aborted = () => new AbortedError(`connecting to ${path}`, signal?.reason);
  if (signal?.aborted) throw aborted();
  if (isTooLong(path)) throw tooLong(action, path);
  const { connect } = await transport();
  if (signal?.aborted) throw aborted();
  try {
    return await connect(path, signal);
  } catch (cause) {
    throw signal?.aborted ? aborted() : new IoError(action, path, cause);
  }
}

/**
 * What connecting reports where no process listens: no file, a file that a killed process left, or one that goes
 * away in this moment.
 */
const NOT_LISTENING: readonly (string | undefined)[] = ["ENOENT", "ENOTDIR", "ECONNREFUSED", "ECONNRESET"];

/**
 * Whether somebody listens at `path`: the sign of life of a VM host process.
 *
 * @throws {IoError} if it cannot be told, e.g. for want of descriptors (`EMFILE`).
 */
export async function isListening(path: string): Promise<boolean> {
  try {
    (await connectUnix(path)).destroy();
    return true;
  } catch (error) {
    if (error instanceof IoError && NOT_LISTENING.includes(error.errno)) return false;
    if (error instanceof IoError && error.errno === "EAGAIN") return true; // more wait than fit its queue
    throw error;
  }
}

/**
 * Listens at `path`, readable and writable for this user only.
 *
 * @throws {IoError} if the address is taken (`EADDRINUSE`), the path too long (`ENAMETOOLONG`), or the directory missing.
 */
export async function listenUnix(
  path: string,
  accept: (connection: UnixConnection) => void,
): Promise<UnixListener> {
  const action = `listen at ${path}`;
  if (isTooLong(path)) throw tooLong(action, path);
  const { listen } = await transport();
  try {
    const listener = await listen(path, accept);
    chmodSync(path, 0o600);
    return listener;
  } catch (cause) {
    throw new IoError(action, path, cause);
  }
}

/** The runtimes differ in what they make of a path that does not fit: one cuts it off, and another place is meant. */
function isTooLong(path: string): boolean {
  return Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX;
}

function tooLong(action: string, path: string): IoError {
  const message = `its path is longer than ${SOCKET_PATH_BYTES_MAX} bytes`;
  return new IoError(action, path, Object.assign(new Error(message), { code: "ENAMETOOLONG" }));
}
