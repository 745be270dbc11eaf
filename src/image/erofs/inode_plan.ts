/**
 * From a tree to a list of inodes: every node once, however many names it has, in the order in which they will be on
 * disk, checked against what the format can hold.
 *
 * @module
 */
import { displayName } from "../byte_string.ts";
import { TreeInvalidError } from "../errors.ts";
import {
  type ByteString,
  type DirectoryNode,
  NAME_BYTES_MAX,
  PATH_BYTES_MAX,
  type TreeNode,
} from "../tree.ts";
import { type DirectoryPlan, planDirectory } from "./directory_blocks.ts";
import type { PlannedXattrs } from "./xattrs.ts";

/** Most inodes of an image: the format's own number for them has 32 bits. */
const INODES_MAX = 0xffff_fffe;
const MAJOR_MAX = 0xfff;
const MINOR_MAX = 0xf_ffff;

/** What is known of one inode. The layout fills in the rest, step by step. */
export class InodePlan {
  readonly node: TreeNode;
  /** From 1, in order. */
  readonly number: number;
  /** Of the node's first name. */
  readonly parent: InodePlan | undefined;
  readonly name: ByteString;
  linkCount: number;
  readonly sizeBytes: number;
  /** Of a directory. */
  readonly directory: DirectoryPlan | undefined;
  xattrs: PlannedXattrs | undefined;
  xattrBytes = 0;
  /** How the data is stored: one of the `LAYOUT_` numbers. */
  layout = 0;
  /** First block of the data, chunk format or device number. */
  location = 0;
  /** Size of what stands behind the inode and its attributes: the data's end, or the chunk map. */
  trailingBytes = 0;
  slot = 0;

  constructor(node: TreeNode, number: number, parent: InodePlan | undefined, name: ByteString) {
    this.node = node;
    this.number = number;
    this.parent = parent;
    this.name = name;
    this.linkCount = node.kind === "directory" ? 2 : 1;
    this.directory = node.kind === "directory" ? planDirectory(node.entries.keys()) : undefined;
    this.sizeBytes = this.directory?.sizeBytes ?? sizeOf(node);
  }

  /** For errors. */
  get path(): ByteString {
    let path = this.name;
    for (let above = this.parent; above !== undefined; above = above.parent) path = `${above.name}/${path}`;
    return path === "" ? "/" : path;
  }

  /** Path of an entry of this directory. */
  pathOf(name: ByteString): ByteString {
    return this.parent === undefined ? `/${name}` : `${this.path}/${name}`;
  }
}

function sizeOf(node: TreeNode): number {
  if (node.kind === "symlink") return node.target.length;
  return node.kind === "file" ? node.content.sizeBytes : 0;
}

/** All inodes of an image, in order, and by node. */
export interface InodePlans {
  readonly list: readonly InodePlan[];
  readonly byNode: ReadonlyMap<TreeNode, InodePlan>;
}

/**
 * Lists the inodes, level by level, the root first. A level's names are in byte order, so that the same tree always
 * gives the same list.
 *
 * @throws {TreeInvalidError}
 */
export function planInodes(root: DirectoryNode): InodePlans {
  const list: InodePlan[] = [];
  const byNode = new Map<TreeNode, InodePlan>();
  const add = (node: TreeNode, parent: InodePlan | undefined, name: ByteString): void => {
    const plan = new InodePlan(node, list.length + 1, parent, name);
    checkNode(plan);
    list.push(plan);
    byNode.set(node, plan);
    if (list.length > INODES_MAX)
      throw new TreeInvalidError("/", `the tree has more than ${INODES_MAX} inodes`);
  };
  add(root, undefined, "");
  for (let index = 0; index < list.length; index++) {
    const plan = list[index]!; // the list grows while it is walked
    if (plan.node.kind !== "directory") continue;
    for (const name of [".", ".."]) {
      if (plan.node.entries.has(name))
        throw new TreeInvalidError(plan.pathOf(name), "the name is not for use");
    }
    for (const name of plan.directory!.names) {
      if (name === "." || name === "..") continue;
      const child = plan.node.entries.get(name)!;
      const known = byNode.get(child);
      checkName(name, plan);
      if (child.kind === "directory") {
        if (known) throw new TreeInvalidError(plan.pathOf(name), "the directory is in the tree twice");
        plan.linkCount++;
      }
      if (known) known.linkCount++;
      else add(child, plan, name);
    }
  }
  return { list, byNode };
}

function checkName(name: ByteString, parent: InodePlan): void {
  const refuse = (problem: string): never => {
    throw new TreeInvalidError(parent.pathOf(name), problem);
  };
  if (name === "") refuse("a name is empty");
  if (name.length > NAME_BYTES_MAX) refuse(`a name has ${name.length} bytes: the limit is ${NAME_BYTES_MAX}`);
  if (/[\0/]/.test(name)) refuse(`the name "${displayName(name)}" has a slash or a NUL`);
}

function checkNode(plan: InodePlan): void {
  const { node } = plan;
  const check = (value: number, field: string, max: number): void => {
    if (Number.isInteger(value) && value >= 0 && value <= max) return;
    throw new TreeInvalidError(plan.path, `${field} must be from 0 to ${max}: it is ${value}`);
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
    if (node.target.includes("\0")) throw new TreeInvalidError(plan.path, "the link's target has a NUL");
  } else if (node.kind === "file") {
    check(node.content.sizeBytes, "a file's size", Number.MAX_SAFE_INTEGER);
  }
}
