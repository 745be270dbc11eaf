/**
 * Paths in a {@linkcode DirectoryNode}: finding, making and removing what they name. Paths are byte strings, relative
 * to the root, with single slashes and without `.` and `..`: `"usr/bin/env"`; the root itself is `""`.
 *
 * Symbolic links in a parent's path are followed inside the tree, as a program that unpacks into a chroot would: with
 * `lib → usr/lib`, the path `lib/x` names `usr/lib/x`. The last component is never followed.
 *
 * @module
 */
import { TreeInvalidError } from "../errors.ts";
import { compact } from "./byte_string.ts";
import type { ByteString, DirectoryNode, TreeNode } from "./tree.ts";

/** Most symbolic links that one path may lead through, as in Linux. */
export const SYMLINKS_FOLLOWED_MAX = 40;

/**
 * Most names, in the targets of symbolic links, that one path may lead through. Linux would allow 40 targets of 2048
 * names each: with a chain of those a tar of a few kilobytes could keep us walking for minutes.
 */
export const SYMLINK_COMPONENTS_MAX = 256;

/** The directory that holds a path's last component, and that component. */
export interface TreePosition {
  readonly directory: DirectoryNode;
  readonly name: ByteString;
}

/**
 * Where `path` is, or would be; `undefined` for the root, and where a parent is missing.
 *
 * @param options.create Makes a missing parent, whose name it is given: a directory of root's, mode 0755.
 * @throws {TreeInvalidError} A parent is not a directory, or leads through too many or too long symbolic links.
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

/** The node that `path` names; `undefined` if there is none. A symbolic link is given as itself. */
export function findNode(root: DirectoryNode, path: ByteString): TreeNode | undefined {
  if (path === "") return root;
  const position = findPosition(root, path);
  return position?.directory.entries.get(position.name);
}

/** Removes the entry that `path` names, with all below it. Gives whether there was one. */
export function removePath(root: DirectoryNode, path: ByteString): boolean {
  const position = findPosition(root, path);
  return position?.directory.entries.delete(position.name) ?? false;
}

/** Follows `directoryPath` from the root. `path` is what errors name. */
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
