/**
 * The file tree in memory that every image source (directory, tar, OCI layers) builds and every disk writer takes. It
 * holds names and metadata; file contents stay where they are and are read through {@linkcode FileContent}.
 *
 * @module
 */

/**
 * Bytes as a string with one byte (0 to 255) per character, since Linux names are bytes and need not be UTF-8.
 * Comparing two of them with `<` compares bytes, which is the order that EROFS needs.
 */
export type ByteString = string;

/** Metadata of every kind of node. */
export interface NodeMetadata {
  /** Permission bits with setuid, setgid and sticky: 12 bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970; may be negative. */
  mtimeSeconds: number;
  /** 0 to 999,999,999. */
  mtimeNanoseconds: number;
  /** By full name, e.g. `"user.mime_type"`, `"security.capability"`. */
  xattrs: ReadonlyMap<ByteString, Uint8Array>;
}

/** Shared by all nodes without extended attributes: a map each would take most of a large tree's memory. */
export const NO_XATTRS: ReadonlyMap<ByteString, Uint8Array> = new Map();

/** An inode. Two entries with the same node are hard links of each other: see `isSameNode()`. */
export type TreeNode = FileNode | DirectoryNode | SymlinkNode | DeviceNode | SpecialNode;

export interface FileNode extends NodeMetadata {
  kind: "file";
  content: FileContent;
}

export interface DirectoryNode extends NodeMetadata {
  kind: "directory";
  entries: DirectoryEntries;
}

/** Entries of a directory by name: the part of a `Map` that is needed. Entries may be deleted during iteration. */
export interface DirectoryEntries extends Iterable<[ByteString, TreeNode]> {
  readonly size: number;
  get(name: ByteString): TreeNode | undefined;
  set(name: ByteString, node: TreeNode): unknown;
  delete(name: ByteString): boolean;
  keys(): Iterable<ByteString>;
  values(): Iterable<TreeNode>;
}

export interface SymlinkNode extends NodeMetadata {
  kind: "symlink";
  target: ByteString;
}

export interface DeviceNode extends NodeMetadata {
  kind: "characterDevice" | "blockDevice";
  major: number;
  minor: number;
}

export interface SpecialNode extends NodeMetadata {
  kind: "fifo" | "socket";
}

/** Gives access to the bytes of a regular file. */
export interface FileContent {
  readonly sizeBytes: number;
  /** Memory that the content itself takes beyond a row of a table, in bytes. @default {0} */
  readonly memoryBytes?: number | undefined;
  /**
   * Reads the file from start to end without its holes. A chunk's bytes are valid only until the next chunk is
   * requested.
   */
  read(): AsyncIterable<FileChunk>;
}

/** Bytes of a file at an offset. Gaps between chunks are holes, which read as zeros. */
export interface FileChunk {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/** Longest file name, in bytes: Linux's `NAME_MAX`. */
export const NAME_BYTES_MAX = 255;

/** Longest path or link target, in bytes without the final NUL: Linux's `PATH_MAX` less one. */
export const PATH_BYTES_MAX = 4095;

/** Metadata of nodes that no tar member describes: owned by root, mode 0755, dated 1970, no extended attributes. */
export const DEFAULT_METADATA: Readonly<NodeMetadata> = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  xattrs: NO_XATTRS,
};

/** Creates an empty directory with {@linkcode DEFAULT_METADATA}, e.g. the root of a new tree or an implied parent. */
export function createDirectory(): DirectoryNode {
  return { kind: "directory", ...DEFAULT_METADATA, entries: new Map() };
}

/** Stores file contents as a stream delivers them. */
export interface ContentStore {
  /** Starts a file of exactly `sizeBytes`. One file at a time. */
  addFile(sizeBytes: number): ContentSink;
}

/** Receives the bytes of one file from start to end. */
export interface ContentSink {
  /** Appends bytes, which are valid only during the call. */
  write(bytes: Uint8Array): void;
  writeZeros(count: number): void;
  /** Ends the file. Call it once all bytes have come. */
  end(): FileContent;
}
