/**
 * Scans a directory of the host into a tree. Reads only names and metadata and follows no links; file contents are read
 * later, when the image is written.
 *
 * The tree lacks whatever the runtime cannot see. Neither Bun nor Deno reads **extended attributes**, so a scanned
 * directory has none (a tar does). Deno gives times in milliseconds only and cannot report names that are not UTF-8;
 * such a name is an error on Deno.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  statSync,
} from "node:fs";
import { resolve } from "node:path";
import { MiB } from "../base/bytes.ts";
import { IoError } from "../base/errors.ts";
import { TreeInvalidError } from "./errors.ts";
import { Pace } from "./stream/yielding.ts";
import { byteString, bytesOf, displayName } from "./tree/byte_string.ts";
import {
  type ByteString,
  type DirectoryNode,
  type FileChunk,
  type FileContent,
  NO_XATTRS,
  type NodeMetadata,
  type TreeNode,
} from "./tree/tree.ts";

/** Most nodes of one directory tree. */
export const DIRECTORY_NODES_MAX = 4_000_000;
const READ_BYTES = 1 * MiB;
/** U+FFFD in UTF-8: Deno replaces bytes that are not UTF-8 with it. */
const REPLACEMENT: ByteString = "\xef\xbf\xbd";
const TYPE_MASK = 0o170000n;

/** Options of {@linkcode scanDirectory}. */
export interface ScanDirectoryOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Returns the tree of the directory at `path`, or of the directory that a symbolic link there leads to. Files with the
 * same device and inode number share one node.
 *
 * @throws {IoError} Something cannot be read; `path` names it.
 * @throws {TreeInvalidError} Something cannot be stored, or is not what it was.
 * @throws {AbortedError}
 */
export async function scanDirectory(
  path: string,
  options: ScanDirectoryOptions = {},
): Promise<DirectoryNode> {
  const scan = new Scan(new Pace("scanning a directory", options.signal));
  return await scan.run(Buffer.from(resolve(path)));
}

interface PendingDirectory {
  readonly path: Buffer;
  readonly node: DirectoryNode;
}

class Scan {
  readonly #pace: Pace;
  readonly #linked = new Map<string, TreeNode>();
  readonly #pending: PendingDirectory[] = [];
  #nodeCount = 0;

  constructor(pace: Pace) {
    this.#pace = pace;
  }

  async run(path: Buffer): Promise<DirectoryNode> {
    this.#pace.check();
    const stats = attempt("read the directory", path, () => statSync(path, { bigint: true }));
    if (!stats.isDirectory()) throw new TreeInvalidError(byteString(path), "it is not a directory");
    const root: DirectoryNode = { kind: "directory", ...metadataOf(stats), entries: new Map() };
    this.#pending.push({ path, node: root });
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      await this.#scanOne(next);
    }
    return root;
  }

  async #scanOne({ path, node }: PendingDirectory): Promise<void> {
    const names = attempt("read the directory", path, () => readdirSync(path, { encoding: "buffer" }));
    for (const nameBytes of names) {
      if (this.#pace.step()) await this.#pace.turn();
      const name = byteString(nameBytes);
      node.entries.set(name, this.#readNode(childPath(path, nameBytes), name));
    }
  }

  #readNode(path: Buffer, name: ByteString): TreeNode {
    if (++this.#nodeCount > DIRECTORY_NODES_MAX) {
      throw new TreeInvalidError(byteString(path), `the tree has more than ${DIRECTORY_NODES_MAX} nodes`);
    }
    const stats = readStats(path, name);
    if (stats.isDirectory()) {
      const node: DirectoryNode = { kind: "directory", ...metadataOf(stats), entries: new Map() };
      this.#pending.push({ path, node });
      return node;
    }
    if (stats.nlink < 2n) return createNode(path, stats);
    const identity = `${stats.dev}:${stats.ino}`;
    const known = this.#linked.get(identity);
    if (known) return known;
    const node = createNode(path, stats);
    this.#linked.set(identity, node);
    return node;
  }
}

function readStats(path: Buffer, name: ByteString): BigIntStats {
  try {
    return lstatSync(path, { bigint: true });
  } catch (error) {
    if (name.includes(REPLACEMENT)) {
      throw new TreeInvalidError(byteString(path), "its name is not UTF-8, which this runtime cannot read", {
        cause: error,
        hint: "Run it with Bun, or make a tar of the directory and use that.",
      });
    }
    throw ioError("read", path, error);
  }
}

function createNode(path: Buffer, stats: BigIntStats): TreeNode {
  const metadata = metadataOf(stats);
  if (stats.isFile()) return { kind: "file", ...metadata, content: new HostFile(path, stats) };
  if (stats.isSymbolicLink()) {
    const target = attempt("read the link", path, () => readlinkSync(path, { encoding: "buffer" }));
    return { kind: "symlink", ...metadata, target: byteString(target) };
  }
  if (stats.isFIFO()) return { kind: "fifo", ...metadata };
  if (stats.isSocket()) return { kind: "socket", ...metadata };
  const kind = stats.isCharacterDevice() ? "characterDevice" : "blockDevice";
  if (kind === "blockDevice" && !stats.isBlockDevice()) {
    const type = (stats.mode & TYPE_MASK).toString(8);
    throw new TreeInvalidError(byteString(path), `its file type 0${type} is unknown`);
  }
  return { kind, ...metadata, ...decodeDeviceNumber(stats.rdev) };
}

function metadataOf(stats: BigIntStats): NodeMetadata {
  const nanosecondsPerSecond = 1_000_000_000n;
  const remainder = stats.mtimeNs % nanosecondsPerSecond;
  const nanoseconds = remainder < 0n ? remainder + nanosecondsPerSecond : remainder;
  return {
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    mtimeSeconds: Number((stats.mtimeNs - nanoseconds) / nanosecondsPerSecond),
    mtimeNanoseconds: Number(nanoseconds),
    xattrs: NO_XATTRS,
  };
}

/** Linux's 64-bit device number, as glibc divides it. */
function decodeDeviceNumber(number: bigint): { major: number; minor: number } {
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xffff_f000n);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffff_ff00n);
  return { major: Number(major), minor: Number(minor) };
}

/** Content of a host file. Reading it fails if the file has changed since the scan. */
class HostFile implements FileContent {
  readonly sizeBytes: number;
  readonly #path: ByteString;
  readonly #device: bigint;
  readonly #inode: bigint;

  constructor(path: Buffer, stats: BigIntStats) {
    this.sizeBytes = Number(stats.size);
    this.#path = byteString(path);
    this.#device = stats.dev;
    this.#inode = stats.ino;
  }

  async *read(): AsyncIterable<FileChunk> {
    if (this.sizeBytes === 0) return;
    const path = bytesOf(this.#path);
    // Do not follow a link, and do not block on a FIFO, that has replaced the file.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const descriptor = attempt("open", path, () => openSync(path, flags));
    try {
      const stats = attempt("read", path, () => fstatSync(descriptor, { bigint: true }));
      const isSame =
        stats.dev === this.#device && stats.ino === this.#inode && Number(stats.size) === this.sizeBytes;
      if (!isSame) throw this.#changed();
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, this.sizeBytes));
      for (let offsetBytes = 0; offsetBytes < this.sizeBytes; ) {
        const wanted = Math.min(buffer.length, this.sizeBytes - offsetBytes);
        const count = attempt("read", path, () => readSync(descriptor, buffer, 0, wanted, offsetBytes));
        if (count === 0) throw this.#changed();
        yield { offsetBytes, bytes: buffer.subarray(0, count) };
        offsetBytes += count;
      }
    } finally {
      closeSync(descriptor);
    }
  }

  #changed(): TreeInvalidError {
    return new TreeInvalidError(this.#path, "the file changed while it was read", {
      hint: "Stop what writes to the directory, or copy it first.",
    });
  }
}

function childPath(directory: Buffer, name: Buffer): Buffer {
  return Buffer.concat([directory, SLASH, name]);
}

const SLASH = Buffer.from("/");

function attempt<T>(action: string, path: Buffer, operation: () => T): T {
  try {
    return operation();
  } catch (error) {
    throw ioError(action, path, error);
  }
}

function ioError(action: string, path: Buffer, error: unknown): IoError {
  const text = path.toString("utf8");
  return new IoError(`${action} ${displayName(byteString(path))}`, text, error);
}
