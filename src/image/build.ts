/** Converts a directory or a tar to an EROFS image in one call. @module */

import { scanDirectory } from "./directory_source.ts";
import { type ErofsInfo, type ErofsOptions, ErofsWriter, writeErofs } from "./erofs/writer.ts";
import { readFileChunks } from "./stream/byte_stream.ts";
import { decompressDetected } from "./stream/compression.ts";
import { applyTar } from "./tar_source.ts";
import { PackedTree } from "./tree/packed_tree.ts";

/** Source of a root file system. */
export type ErofsSource =
  /** A directory of the host. Extended attributes are lost: see {@linkcode scanDirectory}. */
  | { readonly directory: string }
  /** A tar, plain or compressed with gzip or zstd. */
  | { readonly tar: string };

/** Options of {@linkcode buildErofsImage}. */
export interface BuildErofsOptions extends ErofsOptions {
  readonly source: ErofsSource;
  /** Path of the image. The file appears complete or not at all, and replaces one that exists. */
  readonly outputPath: string;
  /** Accept device nodes in a tar; otherwise they are an error. @default {false} */
  readonly allowDevices?: boolean | undefined;
}

/**
 * Builds an EROFS image. Needs neither root nor tools of the host. The same source gives the same bytes.
 *
 * @throws {TarInvalidError} The tar is damaged or has a member that cannot be stored; `member` names it.
 * @throws {TreeInvalidError} The directory has something that cannot be stored; `path` names it.
 * @throws {IoError} Something cannot be read or written.
 * @throws {AbortedError}
 *
 * @example
 * ```ts
 * import { buildErofsImage } from "./build.ts";
 *
 * const { sizeBytes, fileCount } = await buildErofsImage({
 *   source: { directory: "./rootfs" },
 *   outputPath: "rootfs.erofs",
 * });
 * console.log(`${fileCount} files in ${sizeBytes} bytes`);
 * ```
 */
export async function buildErofsImage(options: BuildErofsOptions): Promise<ErofsInfo> {
  const { source, outputPath, signal } = options;
  if ("directory" in source) {
    const root = await scanDirectory(source.directory, { signal });
    return await writeErofs(root, outputPath, options);
  }
  using writer = new ErofsWriter(outputPath, options);
  const { root, createDirectory } = new PackedTree();
  const stream = decompressDetected(readFileChunks(source.tar));
  await applyTar(stream, root, writer, {
    signal,
    allowDevices: options.allowDevices,
    createDirectory,
  });
  return await writer.finish(root);
}
