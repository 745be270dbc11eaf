/**
 * A directory below a root that a guest may not enter: that of this library. Its locks are the process's own, and the kernel takes
 * them away when the process closes any descriptor of their files (fcntl(2)), so that a guest which only read them would set free
 * what keeps two VMs from one disk.
 *
 * @module
 */
import { FileSystemError } from "../errno.ts";
import { isBelow } from "../paths.ts";

/** See the module. */
export class ClosedDirectory {
  /** Below the root; `undefined` if it lies elsewhere. */
  readonly #path: string | undefined;

  /** Both absolute, without links. */
  constructor(root: string, closed: string | undefined) {
    if (closed !== undefined && isBelow(closed, root))
      this.#path = root === "/" ? closed : closed.slice(root.length) || "/";
  }

  /** Whether a path below the root is the directory, or in it. */
  has(path: string): boolean {
    return this.#path !== undefined && isBelow(path, this.#path);
  }

  /** @throws {FileSystemError} EACCES of the directory, and of all in it. */
  check(path: string): void {
    if (this.has(path)) throw new FileSystemError("EACCES");
  }

  /** @throws {FileSystemError} EBUSY of a directory that leads to it: then its path would be another. */
  checkMove(path: string): void {
    if (this.#path !== undefined && isBelow(this.#path, path)) throw new FileSystemError("EBUSY");
  }
}
