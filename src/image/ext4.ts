/**
 * Creates ext4 disks, which hold what a sandbox writes, without root, a loop device or `mke2fs`.
 *
 * The file system has 4 KiB blocks, a journal, extents, flexible block groups and metadata checksums. Whatever the
 * kernel can initialize later is left to it: unused groups have no bitmaps, and inode tables and the journal are holes
 * in the sparse file.
 *
 * @module
 */
import { BLOCK_BYTES } from "./ext4/constants.ts";
import { fileSystemWrites } from "./ext4/file_system.ts";
import { EXT4_SIZE_BYTES_DEFAULT, type Ext4Options, planFileSystem } from "./ext4/options.ts";
import { createSparseFile } from "./ext4/sparse_file.ts";
import { type Ext4Superblock, readExt4Superblock } from "./ext4/superblock_reader.ts";

export { Ext4InvalidError } from "./ext4/errors.ts";
export {
  EXT4_SIZE_BYTES_DEFAULT,
  EXT4_SIZE_BYTES_MAX,
  EXT4_SIZE_BYTES_MIN,
  type Ext4Directory,
  type Ext4Options,
} from "./ext4/options.ts";
export { type Ext4Superblock, readExt4Superblock } from "./ext4/superblock_reader.ts";

/**
 * Creates an empty ext4 file system in a new sparse file. The file appears complete, with mode 0600, or not at all.
 *
 * A disk of 4 GiB takes about 120 KiB on the host. Initial metadata grows with the size, to about 250 MiB for 16 TiB.
 * The same options, including a `uuid`, give the same bytes.
 *
 * @returns what the new superblock says; `sizeBytes` may be a few MiB less than asked for, as a last block group that
 *   would hold next to nothing is left out
 * @throws {InvalidConfigError} `invalidConfig`: options that cannot be used; nothing was created
 * @throws {IoError} `diskFull`, or `io`: with `errno` `"EEXIST"` if something is at `path`, `"EFBIG"` if the host's
 *   file system has no files of that size
 * @throws {AbortedError} `aborted`
 *
 * @example
 * ```ts no-vm
 * import { formatExt4 } from "./ext4.ts";
 *
 * const { uuid } = await formatExt4({
 *   path: "upper.ext4",
 *   sizeBytes: 4 * 1024 ** 3,
 *   label: "upper",
 *   directories: [{ path: "upper" }, { path: "work" }],
 * });
 * console.log(`made file system ${uuid}`);
 * ```
 */
export async function formatExt4(options: Ext4Options): Promise<Ext4Superblock> {
  const { path, sizeBytes = EXT4_SIZE_BYTES_DEFAULT, signal } = options;
  const plan = planFileSystem(options);
  await createSparseFile({
    path,
    sizeBytes: Math.floor(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES,
    writes: fileSystemWrites(plan),
    signal,
  });
  return await readExt4Superblock(path);
}
