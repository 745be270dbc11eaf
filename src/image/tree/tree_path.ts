/**
 * Finds, creates and removes what paths in a {@linkcode DirectoryNode} name. Paths are byte strings relative to the
 * root, with single slashes and without `.` and `..`: `"usr/bin/env"`. The root itself is `""`.
 *
 * Symbolic links in the parent part of a path are followed inside the tree, as in a chroot: with `lib → usr/lib`, the
 * path `lib/x` names `usr/lib/x`. The last component is never followed.
 *
 * @module
 */
import { TreeInvalidError } from "../errors.ts";
import { compact } from "./byte_string.ts";
import type { ByteString, DirectoryNode, TreeNode } from "./tree.ts";

/** Most symbolic links that a path may lead through, as in Linux. */
export const SYMLINKS_FOLLOWED_MAX = 40;

/**
 * Most names in link targets that a path may lead through. Linux would allow 40 targets of 2048 names each; a chain of
 * those in a tar of a few kilobytes would take minutes to walk.
 */
export const SYMLINK_COMPONENTS_MAX = 256;

/** A directory and the name of an entry in it, existing or not. */
export interface TreePosition {
  readonly directory: DirectoryNode;
  readonly name: ByteString;
}

/**
 * Returns the position of `path`, whether or not it exists; `undefined` for the root, or if a parent is missing.
 *
 * @param options.create Creates a missing parent of the given name.
 * @throws {TreeInvalidError} A parent is not a directory, or the path leads through too many or too long symbolic links.
 */
export function findPosition(
  root: DirectoryNode,
  path: ByteString,
  options: { create?: ((name: ByteString) => DirectoryNode) | undefined } = {},
): TreePosition | undefined {
  if (path === "") return undefined;
  const slash = path.lastIndexOf("/");
  if (slash === -1) return { directory: root, name: path };
  const directory = walk(root, path.slice(0, slash), path, options.create);
  return directory && { directory, name: path.slice(slash + 1) };
}

/** Returns the node at `path`, or `undefined` if there is none. A symbolic link is returned as itself. */
export function findNode(root: DirectoryNode, path: ByteString): TreeNode | undefined {
  if (path === "") return root;
  const position = findPosition(root, path);
  return position?.directory.entries.get(position.name);
}

/** Removes the entry at `path` with everything below it. Returns whether it existed. */
export function removePath(root: DirectoryNode, path: ByteString): boolean {
  const position = findPosition(root, path);
  return position?.directory.entries.delete(position.name) ?? false;
}

/** Follows `directoryPath` from the root. Errors name `path`. */
function walk(
  root: DirectoryNode,
  directoryPath: ByteString,
  path: ByteString,
  create: ((name: ByteString) => DirectoryNode) | undefined,
): DirectoryNode | undefined {
  let trail: DirectoryNode[] = [root]; // the directories from the root to here, for the ".." of symlink targets
  const pending = directoryPath.split("/").reverse();
  let followed = 0;
  let linkComponents = 0;
  while (pending.length > 0) {
    const name = pending.pop()!;
    if (name === "" || name === ".") continue;
    if (name === "..") {
      if (trail.length > 1) trail.pop();
      continue;
    }
    const here = trail[trail.length - 1]!;
    let next = here.entries.get(name);
    if (next === undefined) {
      if (create === undefined) return undefined;
      next = create(name);
      here.entries.set(compact(name), next);
    }
    if (next.kind === "directory") {
      trail.push(next);
    } else if (next.kind === "symlink") {
      if (++followed > SYMLINKS_FOLLOWED_MAX)
        throw new TreeInvalidError(path, "too many levels of symbolic links");
      if (next.target.startsWith("/")) trail = [root];
      const components = next.target.split("/").filter((component) => component !== "" && component !== ".");
      linkComponents += components.length;
      if (linkComponents > SYMLINK_COMPONENTS_MAX) {
        const problem = `its symbolic links lead through more than ${SYMLINK_COMPONENTS_MAX} names`;
        throw new TreeInvalidError(path, problem);
      }
      pending.push(...components.reverse());
    } else {
      throw new TreeInvalidError(path, "its parent is not a directory");
    }
  }
  return trail[trail.length - 1];
}
