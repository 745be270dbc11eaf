/** Checks nodes against the limits of the format and of Linux. @module */
import { displayName } from "../tree/byte_string.ts";
import { PackedFile } from "../tree/packed_files.ts";
import { type ByteString, NAME_BYTES_MAX, PATH_BYTES_MAX, type TreeNode } from "../tree/tree.ts";

const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xf_ffff;

/** Returns the problem with an entry's name, or `undefined` if it is valid. */
export function findNameProblem(name: ByteString): string | undefined {
  if (name === "") return "a name is empty";
  if (name === "." || name === "..") return "the name is not for use";
  if (name.length > NAME_BYTES_MAX) return `a name has ${name.length} bytes: the limit is ${NAME_BYTES_MAX}`;
  if (/[\0/]/.test(name)) return `the name "${displayName(name)}" has a slash or a NUL`;
  return undefined;
}

/** Returns the problem with a node's metadata, or `undefined` if it is valid. */
export function findNodeProblem(node: TreeNode): string | undefined {
  return (
    outside(node.mode, "mode", 0o7777) ??
    outside(node.uid, "uid", 0xffff_ffff) ??
    outside(node.gid, "gid", 0xffff_ffff) ??
    outside(node.mtimeNanoseconds, "mtime's nanoseconds", 999_999_999) ??
    outside(Math.abs(node.mtimeSeconds), "mtime's seconds", Number.MAX_SAFE_INTEGER) ??
    findKindProblem(node)
  );
}

function findKindProblem(node: TreeNode): string | undefined {
  switch (node.kind) {
    case "characterDevice":
    case "blockDevice":
      return (
        outside(node.major, "the device's major number", MAJOR_MAX) ??
        outside(node.minor, "the device's minor number", MINOR_MAX)
      );
    case "symlink":
      if (node.target.includes("\0")) return "the link's target has a NUL";
      return outside(node.target.length - 1, "a link target's length, less one,", PATH_BYTES_MAX - 1);
    case "file":
      if (node instanceof PackedFile) return undefined; // its bytes were counted as they came
      return outside(node.content.sizeBytes, "a file's size", Number.MAX_SAFE_INTEGER);
    default:
      return undefined;
  }
}

function outside(value: number, field: string, max: number): string | undefined {
  if (Number.isInteger(value) && value >= 0 && value <= max) return undefined;
  return `${field} must be from 0 to ${max}: current value is ${value}`;
}
