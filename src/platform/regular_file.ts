/**
 * Opening files that another process can replace: a link in their place is not followed, and a FIFO or a device is refused
 * instead of waited for.
 *
 * @module
 */
import { close, closeSync, constants, fstat, fstatSync, open, openSync, type Stats } from "node:fs";

/** Do not follow a link (`ELOOP`); do not wait for the other end of a FIFO. No effect on a regular file. */
const GUARD_FLAGS = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Its `code` is `"ENOTREG"`, which is none of the system's own. */
export class NotRegularError extends Error {
  readonly code = "ENOTREG";

  constructor(path: string) {
    super(`${path} is not a regular file`);
    this.name = "NotRegularError";
  }
}

/**
 * Opens a regular file.
 *
 * @param flags As for open(2), without `O_CREAT`.
 * @throws {NotRegularError} if it is something else; the system's own error, e.g. `ENOENT`, or `ELOOP` at a link.
 */
export function openRegularSync(path: string, flags: number): number {
  const descriptor = openSync(path, flags | GUARD_FLAGS);
  try {
    if (!fstatSync(descriptor).isFile()) throw new NotRegularError(path);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Like {@linkcode openRegularSync}, without blocking. */
export async function openRegular(path: string, flags: number): Promise<number> {
  const descriptor = await call<number>((done) => open(path, flags | GUARD_FLAGS, done));
  try {
    const status = await call<Stats>((done) => fstat(descriptor, done));
    if (!status.isFile()) throw new NotRegularError(path);
    return descriptor;
  } catch (error) {
    close(descriptor, () => {}); // the error that matters is thrown
    throw error;
  }
}

function call<T>(operation: (done: (error: Error | null, result: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    operation((error, result) => (error === null ? resolve(result) : reject(error)));
  });
}
