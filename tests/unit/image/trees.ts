/** Trees for tests, from literals or at random, and their comparison. @module */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import {
  createDirectory,
  type DirectoryNode,
  type FileContent,
  type FileNode,
  NO_XATTRS,
  type NodeMetadata,
  type TreeNode,
} from "../../../src/image/tree/tree.ts";
import type { SeededRandom } from "../../support/random.ts";
import { type ErofsInode, ErofsReader } from "./erofs/reader.ts";

export const METADATA: NodeMetadata = {
  mode: 0o644,
  uid: 0,
  gid: 0,
  mtimeSeconds: 1_700_000_000,
  mtimeNanoseconds: 0,
  xattrs: NO_XATTRS,
};

/** A content of these bytes, in chunks of an odd size. */
export function contentOf(data: Uint8Array | string): FileContent {
  const bytes = Buffer.from(data as Uint8Array);
  return {
    sizeBytes: bytes.length,
    async *read() {
      const step = 7001;
      for (let at = 0; at < bytes.length; at += step)
        yield { offsetBytes: at, bytes: bytes.subarray(at, at + step) };
    },
  };
}

/** A content of `sizeBytes` that is zero but for some parts. */
export function sparseContentOf(sizeBytes: number, parts: Record<number, string>): FileContent {
  return {
    sizeBytes,
    async *read() {
      for (const [offset, text] of Object.entries(parts)) {
        yield { offsetBytes: Number(offset), bytes: Buffer.from(text) };
      }
    },
  };
}

export function fileOf(data: Uint8Array | string, metadata: Partial<NodeMetadata> = {}): FileNode {
  return { kind: "file", ...METADATA, ...metadata, content: contentOf(data) };
}

export function directoryOf(
  entries: Record<string, TreeNode>,
  metadata: Partial<NodeMetadata> = {},
): DirectoryNode {
  return { ...createDirectory(), ...metadata, entries: new Map(Object.entries(entries)) };
}

/** What one name shows. Two names of one inode have the same `inode`, which is the first of them. */
export interface Shown {
  type: number;
  mode: number;
  uid: number;
  gid: number;
  mtime: string;
  links: number;
  size: number;
  data: string;
  device: string;
  xattrs: Record<string, string>;
  inode: string;
}

const TYPES: Record<TreeNode["kind"], number> = {
  fifo: 1,
  characterDevice: 2,
  directory: 4,
  blockDevice: 6,
  file: 8,
  symlink: 10,
  socket: 12,
};

/** All names of a tree, with what they must show in an image. */
export async function showTree(root: DirectoryNode): Promise<Record<string, Shown>> {
  const shown: Record<string, Shown> = {};
  const names = new Map<TreeNode, string[]>();
  const visit = async (node: TreeNode, path: string): Promise<void> => {
    const known = names.get(node);
    known?.push(path);
    if (!known) names.set(node, [path]);
    shown[path] = await showNode(node, known?.[0] ?? path);
    if (node.kind !== "directory") return;
    for (const name of [...node.entries.keys()].sort())
      await visit(node.entries.get(name)!, `${path}/${name}`);
  };
  await visit(root, "");
  for (const [node, paths] of names) {
    const subdirectories =
      node.kind === "directory"
        ? [...node.entries.values()].filter(({ kind }) => kind === "directory").length
        : 0;
    for (const path of paths)
      shown[path]!.links = node.kind === "directory" ? 2 + subdirectories : paths.length;
  }
  return shown;
}

async function showNode(node: TreeNode, inode: string): Promise<Shown> {
  const isDevice = node.kind === "characterDevice" || node.kind === "blockDevice";
  const data =
    node.kind === "file"
      ? await readAll(node.content)
      : Buffer.from(node.kind === "symlink" ? node.target : "", "latin1");
  return {
    type: TYPES[node.kind],
    mode: node.mode,
    uid: node.uid,
    gid: node.gid,
    mtime: `${node.mtimeSeconds}.${node.mtimeNanoseconds}`,
    links: 0,
    size: data.length,
    data: hash(data),
    device: isDevice ? `${node.major}:${node.minor}` : "",
    xattrs: showXattrs(node.xattrs),
    inode,
  };
}

/** All names of an image. */
export function showImage(path: string): Record<string, Shown> {
  using reader = new ErofsReader(path);
  const shown: Record<string, Shown> = {};
  const firstNames = new Map<number, string>();
  const visit = (inode: ErofsInode, path: string): void => {
    const type = inode.mode >> 12;
    const inodeName = firstNames.get(inode.slot) ?? path;
    firstNames.set(inode.slot, inodeName);
    const hasData = type === TYPES.file || type === TYPES.symlink;
    const device = inode.deviceNumber;
    shown[path] = {
      type,
      mode: inode.mode & 0o7777,
      uid: inode.uid,
      gid: inode.gid,
      mtime: `${inode.mtimeSeconds}.${inode.mtimeNanoseconds}`,
      links: inode.linkCount,
      size: hasData ? inode.sizeBytes : 0,
      data: hash(hasData ? reader.content(inode) : Buffer.alloc(0)),
      device: [2, 6].includes(type)
        ? `${(device >>> 8) & 0xfff}:${(device & 0xff) | ((device >>> 12) & 0xfff00)}`
        : "",
      xattrs: showXattrs(inode.xattrs),
      inode: inodeName,
    };
    if (type !== TYPES.directory) return;
    for (const entry of reader.entries(inode)) {
      if (entry.name !== "." && entry.name !== "..") visit(reader.inode(entry.slot), `${path}/${entry.name}`);
    }
  };
  visit(reader.root, "");
  return shown;
}

export function showXattrs(xattrs: ReadonlyMap<string, Uint8Array>): Record<string, string> {
  return Object.fromEntries(
    [...xattrs].sort().map(([name, value]) => [name, Buffer.from(value).toString("hex")]),
  );
}

export async function readAll(content: FileContent): Promise<Buffer> {
  const data = Buffer.alloc(content.sizeBytes);
  for await (const { offsetBytes, bytes } of content.read()) data.set(bytes, offsetBytes);
  return data;
}

function hash(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** A tree of everything that there is, of about `nodeCount` nodes. */
export function randomTree(random: SeededRandom, nodeCount: number): DirectoryNode {
  const root = { ...createDirectory(), ...randomMetadata(random) };
  const directories = [root];
  const linkable: TreeNode[] = [];
  for (let index = 0; index < nodeCount; index++) {
    const parent = random.pick(directories);
    const node =
      linkable.length > 0 && random.integer(0, 9) === 0 ? random.pick(linkable) : randomNode(random);
    parent.entries.set(randomName(random), node);
    if (node.kind === "directory" && !directories.includes(node)) directories.push(node);
    else if (node.kind !== "directory") linkable.push(node);
  }
  return root;
}

function randomNode(random: SeededRandom): TreeNode {
  const metadata = randomMetadata(random);
  switch (random.integer(0, 9)) {
    case 0:
    case 1:
      return { ...createDirectory(), ...metadata };
    case 2:
      return {
        kind: "symlink",
        ...metadata,
        target: randomBytes(random, random.pick([1, 30, 2048, 2049, 4095])),
      };
    case 3:
      return { kind: random.pick(["fifo", "socket"]), ...metadata };
    case 4:
      return {
        kind: random.pick(["characterDevice", "blockDevice"]),
        ...metadata,
        major: random.integer(0, 0xfff),
        minor: random.integer(0, 0xfffff),
      };
    default:
      return { kind: "file", ...metadata, content: contentOf(randomData(random)) };
  }
}

/** Sizes around the places where the layout changes, and zeros in all places. */
function randomData(random: SeededRandom): Uint8Array {
  const size = random.pick([
    0, 1, 100, 2048, 2049, 4095, 4096, 4097, 65_535, 65_536, 70_000, 200_000, 262_144, 300_001,
  ]);
  const data = new Uint8Array(size);
  for (let at = 0; at < size; ) {
    const length = Math.min(size - at, random.pick([1, 500, 4096, 65_536, 131_072]));
    if (random.integer(0, 1) === 0) data.fill(random.integer(1, 255), at, at + length);
    at += length;
  }
  return data;
}

function randomMetadata(random: SeededRandom): NodeMetadata {
  const xattrs = new Map<string, Uint8Array>();
  const count = random.pick([0, 0, 0, 1, 2, 12]);
  for (let index = 0; index < count; index++) {
    const name = random.pick(["user.", "trusted.", "security."]) + randomBytes(random, random.integer(1, 20));
    xattrs.set(name, random.bytes(random.pick([0, 1, 3, 20, 20, 1000])));
  }
  if (random.integer(0, 3) === 0) xattrs.set("security.selinux", Buffer.from("system_u:object_r:bin_t:s0"));
  if (random.integer(0, 9) === 0) xattrs.set("system.posix_acl_access", random.bytes(28));
  return {
    mode: random.integer(0, 0o7777),
    uid: random.pick([0, 1000, 65_536, 0xffff_fffe]),
    gid: random.pick([0, 5, 70_000, 0xffff_ffff]),
    mtimeSeconds: random.pick([0, -1, 1_700_000_000, 2 ** 33, -(2 ** 31)]),
    mtimeNanoseconds: random.pick([0, 1, 999_999_999]),
    xattrs,
  };
}

function randomName(random: SeededRandom): string {
  return randomBytes(random, random.pick([1, 2, 8, 40, 255]));
}

/** No NUL, no slash, and never `.` or `..`. */
function randomBytes(random: SeededRandom, size: number): string {
  const text = Array.from({ length: size }, () => String.fromCharCode(random.integer(1, 255))).join("");
  const clean = text.replaceAll("/", "_");
  return /^\.+$/.test(clean) ? "_".repeat(size) : clean;
}
