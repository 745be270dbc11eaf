/**
 * What the format and Linux can hold of one node.
 *
 * @module
 */
import { displayName } from "../byte_string.ts";
import { TreeInvalidError } from "../errors.ts";
import { type ByteString, NAME_BYTES_MAX, PATH_BYTES_MAX, type TreeNode } from "../tree.ts";

const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xf_ffff;

/**
 * Checks the name of a directory's entry.
 *
 * @param pathOf Gives the entry's path, for the error.
 * @throws {TreeInvalidError}
 */
export function checkName(name: ByteString, pathOf: (name: ByteString) => ByteString): void {
  const refuse = (problem: string): never => {
    throw new TreeInvalidError(pathOf(name), problem);
  };
  if (name === "") refuse("a name is empty");
  if (name === "." || name === "..") refuse("the name is not for use");
  if (name.length > NAME_BYTES_MAX) refuse(`a name has ${name.length} bytes: the limit is ${NAME_BYTES_MAX}`);
  if (/[\0/]/.test(name)) refuse(`the name "${displayName(name)}" has a slash or a NUL`);
}

/**
 * Checks a node's metadata.
 *
 * @param pathOf Gives the node's path, for the error.
 * @throws {TreeInvalidError}
 */
export function checkNode(node: TreeNode, pathOf: () => ByteString): void {
  const check = (value: number, field: string, max: number): void => {
    if (Number.isInteger(value) && value >= 0 && value <= max) return;
    throw new TreeInvalidError(pathOf(), `${field} must be from 0 to ${max}: it is ${value}`);
  };
  check(node.mode, "mode", 0o7777);
  check(node.uid, "uid", 0xffff_ffff);
  check(node.gid, "gid", 0xffff_ffff);
  check(node.mtimeNanoseconds, "mtime's nanoseconds", 999_999_999);
  check(Math.abs(node.mtimeSeconds), "mtime's seconds", Number.MAX_SAFE_INTEGER);
  if (node.kind === "characterDevice" || node.kind === "blockDevice") {
    check(node.major, "the device's major number", MAJOR_MAX);
    check(node.minor, "the device's minor number", MINOR_MAX);
  } else if (node.kind === "symlink") {
    check(node.target.length - 1, "a link target's length, less one,", PATH_BYTES_MAX - 1);
    if (node.target.includes("\0")) throw new TreeInvalidError(pathOf(), "the link's target has a NUL");
  } else if (node.kind === "file") {
    check(node.content.sizeBytes, "a file's size", Number.MAX_SAFE_INTEGER);
  }
}
