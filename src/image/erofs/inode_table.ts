/**
 * From a tree to a table of inodes: every node once, however many names it has, in the order in which they will be on
 * disk, checked against what the format can hold.
 *
 * An inode is a row, and what is known of it stands in columns of numbers: an object for each would be as much memory as
 * the tree itself.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { InternalError } from "../../base/errors.ts";
import { TreeInvalidError } from "../errors.ts";
import type { ByteString, DirectoryNode, TreeNode } from "../tree.ts";
import { type DirectoryPlan, planDirectory } from "./directory_blocks.ts";
import { findNameProblem, findNodeProblem } from "./node_limits.ts";
import { StoredFile } from "./stored_file.ts";
import type { PlannedXattrs } from "./xattrs.ts";

/** Most inodes of an image: the format's own number for them has 32 bits. */
const INODES_MAX = 0xffff_fffe;

/** The row of an inode. The root's is 0, and an inode's number is its row plus 1. */
export type InodeRow = number;

export class InodeTable {
  /** Level by level, a level's names in byte order: the same tree always gives the same table. */
  readonly nodes: readonly TreeNode[];
  /** The directory of the node's first name; the root is its own. */
  readonly parents: readonly InodeRow[];
  readonly linkCounts: readonly number[];
  /** Of each directory. */
  readonly directories: ReadonlyMap<InodeRow, DirectoryPlan>;
  /** Of the inodes that have some. */
  readonly xattrs = new Map<InodeRow, PlannedXattrs>();
  /** Data of files that were not yet in the image when the table was made. */
  readonly stored = new Map<InodeRow, StoredFile>();

  // What the layout fills in, step by step:
  /** How the data is stored: one of the `LAYOUT_` numbers. */
  readonly layouts: Uint8Array;
  /** First block of the data, chunk format or device number. */
  readonly locations: Uint32Array;
  /** Size of the attributes behind the inode. */
  readonly xattrBytes: Uint32Array;
  /** Size of what stands behind the inode and its attributes: the data's end, or the chunk map. */
  readonly trailingBytes: Uint32Array;
  /** Not 32 bits wide: an image may have more slots than inodes. */
  readonly slots: Float64Array;
  readonly #rows: NodeRows;

  /** @throws {TreeInvalidError} */
  constructor(root: DirectoryNode) {
    const { nodes, parents, linkCounts, directories, rows } = listInodes(root);
    this.nodes = nodes;
    this.parents = parents;
    this.linkCounts = linkCounts;
    this.directories = directories;
    this.#rows = rows;
    this.layouts = new Uint8Array(nodes.length);
    this.locations = new Uint32Array(nodes.length);
    this.xattrBytes = new Uint32Array(nodes.length);
    this.trailingBytes = new Uint32Array(nodes.length);
    this.slots = new Float64Array(nodes.length);
  }

  /** The row of a node of the tree. */
  rowOf(node: TreeNode): InodeRow {
    const row = this.#rows.get(node);
    assert(row !== undefined, "the node is in the table");
    return row;
  }

  sizeBytes(row: InodeRow): number {
    const node = this.nodes[row]!;
    if (node.kind === "symlink") return node.target.length;
    if (node.kind === "file") return node.content.sizeBytes;
    return this.directories.get(row)?.sizeBytes ?? 0;
  }

  /** Where the data of the file in this row is. */
  storedFile(row: InodeRow): StoredFile {
    const node = this.nodes[row]!;
    assert(node.kind === "file", "the node is a file");
    const stored = this.stored.get(row) ?? node.content;
    assert(stored instanceof StoredFile, "the file's data is in the image");
    return stored;
  }

  /** One of the node's names, for errors. */
  pathOf(row: InodeRow): ByteString {
    return pathOf(this.nodes, this.parents, row);
  }
}

/** What the walk through a tree finds. */
interface ListedInodes {
  readonly nodes: TreeNode[];
  readonly parents: InodeRow[];
  readonly linkCounts: number[];
  readonly directories: Map<InodeRow, DirectoryPlan>;
  readonly rows: NodeRows;
}

function listInodes(root: DirectoryNode): ListedInodes {
  const nodes: TreeNode[] = [];
  const parents: InodeRow[] = [];
  const linkCounts: number[] = [];
  const directories = new Map<InodeRow, DirectoryPlan>();
  const rows = new NodeRows(nodes);
  const entryPath = (row: InodeRow, name: ByteString): ByteString =>
    joinPath(pathOf(nodes, parents, row), name);
  const add = (node: TreeNode, parent: InodeRow): void => {
    const row = nodes.length;
    nodes.push(node);
    parents.push(parent);
    linkCounts.push(node.kind === "directory" ? 2 : 1);
    const problem = findNodeProblem(node);
    if (problem !== undefined) throw new TreeInvalidError(pathOf(nodes, parents, row), problem);
    rows.set(node, row);
    if (nodes.length > INODES_MAX)
      throw new TreeInvalidError("/", `the tree has more than ${INODES_MAX} inodes`);
  };
  add(root, 0);
  // The list grows while it is walked.
  for (let row = 0; row < nodes.length; row++) {
    const node = nodes[row]!;
    if (node.kind !== "directory") continue;
    for (const name of node.entries.keys()) {
      const problem = findNameProblem(name);
      if (problem !== undefined) throw new TreeInvalidError(entryPath(row, name), problem);
    }
    const plan = planDirectory(node.entries.keys());
    directories.set(row, plan);
    for (const name of plan.names) {
      if (name === "." || name === "..") continue;
      const child = node.entries.get(name)!;
      const known = rows.get(child);
      if (child.kind === "directory") {
        if (known !== undefined)
          throw new TreeInvalidError(entryPath(row, name), "the directory is in the tree twice");
        linkCounts[row]!++;
      }
      if (known === undefined) add(child, row);
      else linkCounts[known]!++;
    }
  }
  return { nodes, parents, linkCounts, directories, rows };
}

/**
 * The row of each node. Files whose data is in the image, which nearly all nodes are, carry their row themselves; only
 * the others need a place in a map.
 */
class NodeRows {
  readonly #nodes: readonly TreeNode[];
  readonly #others = new Map<TreeNode, InodeRow>();

  constructor(nodes: readonly TreeNode[]) {
    this.#nodes = nodes;
  }

  /** The node is in the list, at `row`. */
  set(node: TreeNode, row: InodeRow): void {
    const content = storedContentOf(node);
    if (content !== undefined && storedContentOf(this.#nodes[content.row]) !== content) content.row = row;
    else this.#others.set(node, row);
  }

  get(node: TreeNode): InodeRow | undefined {
    const row = storedContentOf(node)?.row;
    // The row may be that of another node with the same content, or one of another image.
    return row !== undefined && this.#nodes[row] === node ? row : this.#others.get(node);
  }
}

function storedContentOf(node: TreeNode | undefined): StoredFile | undefined {
  return node?.kind === "file" && node.content instanceof StoredFile ? node.content : undefined;
}

function pathOf(nodes: readonly TreeNode[], parents: readonly InodeRow[], row: InodeRow): ByteString {
  if (row === 0) return "/";
  const parent = parents[row]!;
  const directory = nodes[parent]!;
  assert(directory.kind === "directory", "a parent is a directory");
  for (const [name, node] of directory.entries) {
    if (node === nodes[row]) return joinPath(pathOf(nodes, parents, parent), name);
  }
  throw new InternalError("a node is not in its parent");
}

function joinPath(directory: ByteString, name: ByteString): ByteString {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}
