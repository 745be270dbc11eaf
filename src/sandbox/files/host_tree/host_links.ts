/**
 * Hard links among the files that a guest sends.
 *
 * @module
 */
import type { EntryName } from "../../../platform/path_at.ts";
import { FileCopyRefusedError } from "../copy_errors.ts";
import type { HostDirectory } from "./host_directory.ts";
import { type FileIdentity, removeIfThere } from "./partial_file.ts";
import type { GuestEntry } from "./tree_writer.ts";

/** Files with several names that are remembered; any further ones become files of their own. */
const REMEMBERED_MAX = 100_000;

/** A file that was written. */
interface Written {
  /** The directories that lead to it, from the top. */
  readonly path: readonly EntryName[];
  readonly name: EntryName;
  readonly identity: FileIdentity;
}

export class HostLinks {
  readonly #written = new Map<string, Written>();

  /** Whether a file that is the same in the guest was written. */
  has(entry: GuestEntry): boolean {
    return entry.links > 1 && this.#written.has(keyOf(entry));
  }

  /** `entry` was written. */
  add(entry: GuestEntry, written: Written): void {
    if (entry.links > 1 && this.#written.size < REMEMBERED_MAX) this.#written.set(keyOf(entry), written);
  }

  /**
   * Makes `name` in `directory` a link to what was written for `entry`. Another process may have put something else in its
   * place since: that is not linked to.
   */
  make(entry: GuestEntry, top: HostDirectory, directory: HostDirectory, name: EntryName): void {
    const written = this.#written.get(keyOf(entry));
    if (written === undefined) throw new FileCopyRefusedError("there is no file to link to");
    using opened = openBelow(top, written.path);
    directory.makeLink(name, opened.directory, written.name);
    const { dev, ino } = directory.status(name);
    if (dev === written.identity.device && ino === written.identity.inode) return;
    removeIfThere(directory, name);
    throw new FileCopyRefusedError(
      `${opened.directory.path}/${written.name} was replaced before it could be linked to`,
    );
  }
}

function keyOf({ device, inode }: GuestEntry): string {
  return `${device}:${inode}`;
}

/** Opens a directory some levels below `top`, one at a time. */
function openBelow(
  top: HostDirectory,
  path: readonly EntryName[],
): { readonly directory: HostDirectory } & Disposable {
  let directory = top;
  const close = () => {
    if (directory !== top) directory[Symbol.dispose]();
  };
  for (const name of path) {
    let next: HostDirectory;
    try {
      next = directory.openDirectory(name);
    } finally {
      close();
    }
    directory = next;
  }
  return { directory, [Symbol.dispose]: close };
}
