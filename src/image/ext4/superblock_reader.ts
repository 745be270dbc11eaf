/**
 * Reads a disk's superblock, so that the disk can be checked before a VM gets it.
 *
 * Source: Linux, Documentation/filesystems/ext4, "Super Block".
 *
 * @module
 */
import { type FileHandle, open } from "node:fs/promises";
import { decodeUtf8 } from "../../base/bytes.ts";
import { IoError } from "../../base/errors.ts";
import {
  INCOMPATIBLE,
  READ_ONLY_COMPATIBLE,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_OFFSET_BYTES,
} from "./constants.ts";
import { Ext4InvalidError } from "./errors.ts";
import { joinHalves, viewOf } from "./little_endian.ts";
import {
  LABEL_BYTES_MAX,
  STATE_CLEAN,
  STATE_ERRORS,
  SUPERBLOCK_CHECKSUM_OFFSET,
  SUPERBLOCK_MAGIC,
  superblockChecksum,
  UUID_BYTES,
} from "./superblock.ts";
import { formatUuid } from "./uuid.ts";

/** The kernel's own limit is 64 KiB. */
const BLOCK_SIZE_LOG2_MAX = 6;

/** What an ext4 disk says about itself. */
export interface Ext4Superblock {
  /** `""` if there is none. */
  readonly label: string;
  /** Lower case, with hyphens. */
  readonly uuid: string;
  readonly blockSizeBytes: number;
  /** Of the file system; its file or device may be longer. */
  readonly sizeBytes: number;
  /** As of the last orderly unmount. */
  readonly freeBytes: number;
  /** Files and directories that there can be. */
  readonly inodeCount: number;
  /** As of the last orderly unmount. */
  readonly freeInodeCount: number;
  /**
   * - `"clean"`: unmounted cleanly.
   * - `"needsRecovery"`: mounted, or left mounted by a crash; the next mount replays the journal.
   * - `"hasErrors"`: the kernel found damage; `e2fsck` should see it.
   */
  readonly state: "clean" | "needsRecovery" | "hasErrors";
}

/**
 * Reads the primary superblock of the disk image or block device at `path`.
 *
 * @throws {Ext4InvalidError} `diskInvalid`: no ext4 there, a superblock whose checksum is wrong, or a file that ends
 *   before its file system does
 * @throws {IoError} `io`: the file cannot be read
 */
export async function readExt4Superblock(path: string): Promise<Ext4Superblock> {
  const { bytes, fileBytes } = await readStart(path);
  const superblock = parseSuperblock(path, bytes);
  if (fileBytes !== undefined && fileBytes < superblock.sizeBytes) {
    throw new Ext4InvalidError(
      path,
      `file ends at ${fileBytes} bytes, and its file system at ${superblock.sizeBytes}`,
    );
  }
  return superblock;
}

/** The superblock's bytes; and the length of the file, if it is a regular one. */
async function readStart(path: string): Promise<{ bytes: Uint8Array; fileBytes: number | undefined }> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const stats = await file.stat();
    const buffer = new Uint8Array(SUPERBLOCK_BYTES);
    const { bytesRead } = await file.read(buffer, 0, SUPERBLOCK_BYTES, SUPERBLOCK_OFFSET_BYTES);
    return { bytes: buffer.subarray(0, bytesRead), fileBytes: stats.isFile() ? stats.size : undefined };
  } catch (error) {
    throw new IoError(`read the superblock of "${path}"`, path, error);
  } finally {
    await file?.close();
  }
}

function parseSuperblock(path: string, bytes: Uint8Array): Ext4Superblock {
  if (bytes.length < SUPERBLOCK_BYTES) throw new Ext4InvalidError(path, "too short to hold a superblock");
  const view = viewOf(bytes);
  if (view.getUint16(0x38, true) !== SUPERBLOCK_MAGIC)
    throw new Ext4InvalidError(path, "no ext4 magic number");
  const incompatible = view.getUint32(0x60, true);
  const readOnlyCompatible = view.getUint32(0x64, true);
  const hasChecksum = (readOnlyCompatible & READ_ONLY_COMPATIBLE.metadataChecksums) !== 0;
  if (hasChecksum && view.getUint32(SUPERBLOCK_CHECKSUM_OFFSET, true) !== superblockChecksum(bytes)) {
    throw new Ext4InvalidError(path, "superblock checksum does not match");
  }
  const blockSizeLog2 = view.getUint32(0x18, true);
  if (blockSizeLog2 > BLOCK_SIZE_LOG2_MAX) throw new Ext4InvalidError(path, "block size is out of range");
  const blockSizeBytes = 1024 * 2 ** blockSizeLog2;
  const is64Bit = (incompatible & INCOMPATIBLE.is64Bit) !== 0;
  const blocksAt = (lowOffset: number, highOffset: number) =>
    joinHalves(view.getUint32(lowOffset, true), is64Bit ? view.getUint32(highOffset, true) : 0);
  return {
    label: decodeLabel(bytes.subarray(0x78, 0x78 + LABEL_BYTES_MAX)),
    uuid: formatUuid(bytes.subarray(0x68, 0x68 + UUID_BYTES)),
    blockSizeBytes,
    sizeBytes: blocksAt(0x4, 0x150) * blockSizeBytes,
    freeBytes: blocksAt(0xc, 0x158) * blockSizeBytes,
    inodeCount: view.getUint32(0x0, true),
    freeInodeCount: view.getUint32(0x10, true),
    state: stateOf(view.getUint16(0x3a, true), incompatible),
  };
}

function decodeLabel(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decodeUtf8(end === -1 ? bytes : bytes.subarray(0, end));
}

function stateOf(state: number, incompatible: number): Ext4Superblock["state"] {
  if ((state & STATE_ERRORS) !== 0) return "hasErrors";
  const isUnmounted = (state & STATE_CLEAN) !== 0 && (incompatible & INCOMPATIBLE.recover) === 0;
  return isUnmounted ? "clean" : "needsRecovery";
}
