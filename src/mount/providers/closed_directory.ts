/**
 * A directory below a root that a guest may not enter: the home of this library. Its locks belong to the process, and the kernel
 * releases them when the process closes any descriptor of their files (fcntl(2)). So a guest that only read them would release
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

  /** @throws {FileSystemError} EBUSY of a directory that leads to it: a rename would change its path. */
  checkMove(path: string): void {
    if (this.#path !== undefined && isBelow(this.#path, path)) throw new FileSystemError("EBUSY");
  }
}
