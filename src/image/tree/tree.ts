/**
 * A file tree in memory, as every image source (directory, tar, OCI layers) makes it and every disk writer takes it.
 * It holds names and metadata; file contents stay where they are and are read through {@linkcode FileContent}.
 *
 * @module
 */

/**
 * Bytes as a string in which every character is one byte (0–255), as Linux names are bytes and need not be UTF-8.
 * Comparing two of them with `<` compares bytes, which is the order that EROFS wants.
 */
export type ByteString = string;

/** Metadata that every kind of node has. */
export interface NodeMetadata {
  /** Permission bits with setuid, setgid and sticky: 12 bits. */
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970, may be negative. */
  mtimeSeconds: number;
  /** 0 to 999,999,999. */
  mtimeNanoseconds: number;
  /** By full name, e.g. `"user.mime_type"`, `"security.capability"`. */
  xattrs: ReadonlyMap<ByteString, Uint8Array>;
}

/** What nodes without extended attributes share: a map for each would be most of a large tree's memory. */
export const NO_XATTRS: ReadonlyMap<ByteString, Uint8Array> = new Map();

/** One inode. Two directory entries that share one node are hard links of each other: see `isSameNode()`. */
export type TreeNode = FileNode | DirectoryNode | SymlinkNode | DeviceNode | SpecialNode;

export interface FileNode extends NodeMetadata {
  kind: "file";
  content: FileContent;
}

export interface DirectoryNode extends NodeMetadata {
  kind: "directory";
  entries: DirectoryEntries;
}

/** What a directory holds, by name: as much of a `Map` as is used of one. Entries may be deleted while it is iterated. */
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

/** Where the bytes of a regular file are. */
export interface FileContent {
  readonly sizeBytes: number;
  /** What remembering the content takes of memory, where that is more than a row of a table. @default {0} */
  readonly memoryBytes?: number | undefined;
  /**
   * Reads the whole file in order, holes left out. Each extent's bytes arrive in one or more chunks. The bytes of a
   * chunk are good until the next one is asked for.
   */
  read(): AsyncIterable<FileChunk>;
}

/** Bytes of a file at an offset. What lies between chunks is a hole and reads as zeros. */
export interface FileChunk {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/** Longest file name, in bytes: Linux's `NAME_MAX`. */
export const NAME_BYTES_MAX = 255;

/** Longest path and longest symlink target, in bytes without the end: Linux's `PATH_MAX` less its NUL. */
export const PATH_BYTES_MAX = 4095;

/** Metadata of what has no member of its own: owned by root, mode 0755, dated 1970, no extended attributes. */
export const DEFAULT_METADATA: Readonly<NodeMetadata> = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  mtimeSeconds: 0,
  mtimeNanoseconds: 0,
  xattrs: NO_XATTRS,
};

/** An empty directory with {@linkcode DEFAULT_METADATA}: what a tree starts as, and what implied parents are. */
export function createDirectory(): DirectoryNode {
  return { kind: "directory", ...DEFAULT_METADATA, entries: new Map() };
}

/** Takes file contents as a stream delivers them: an image being written. */
export interface ContentStore {
  /** Starts a file of exactly `sizeBytes`. One file at a time. */
  addFile(sizeBytes: number): ContentSink;
}

/** Takes the bytes of one file, in order. */
export interface ContentSink {
  /** The bytes are good during the call only. */
  write(bytes: Uint8Array): void;
  writeZeros(count: number): void;
  /** To be called when all bytes have come. */
  end(): FileContent;
}
