/**
 * Writes EROFS images: read-only, uncompressed, mountable by Linux 5.15 and later.
 *
 * The image is made in one pass over its input. File data goes first, in whatever order a source has it; the tree that
 * names the files is needed only at the end, when the metadata is written behind them:
 *
 *     block 0        superblock (written last)
 *     …              file data
 *     …              shared extended attributes
 *     …              directories and long symbolic links
 *     …              inodes, each followed by its attributes and the end of its data
 *
 * The same tree with the same data, delivered in the same order, gives the same bytes: volume UUID and build time are
 * zero.
 *
 * @module
 */
import { assert } from "../../base/assert.ts";
import { encodeUtf8 } from "../../base/bytes.ts";
import { TreeInvalidError } from "../errors.ts";
import { Pace } from "../stream/yielding.ts";
import type { DirectoryNode, FileContent } from "../tree/tree.ts";
import { encodeFirstBlock } from "./format.ts";
import { ImageFile } from "./image_file.ts";
import type { InodeRow } from "./inode_row.ts";
import { InodeTable } from "./inode_table.ts";
import { MetadataWriter } from "./metadata_writer.ts";
import { FileSink, type Storage, type StoredFile } from "./stored_file.ts";
import { TailArena } from "./tail_arena.ts";

export { FileSink, StoredFile } from "./stored_file.ts";

/** Options of an EROFS image. */
export interface ErofsOptions {
  /** Up to 16 bytes of UTF-8, by which a guest can find the disk. @default {""} */
  readonly volumeName?: string | undefined;
  /** Ends the writing and leaves nothing behind. */
  readonly signal?: AbortSignal | undefined;
  /** Called at intervals, and at the end. */
  readonly onProgress?: ((progress: ErofsProgress) => void) | undefined;
}

/** Progress of writing an image. */
export interface ErofsProgress {
  /** Bytes of the image so far. */
  readonly imageBytes: number;
  /** Regular files whose data is in the image. */
  readonly fileCount: number;
}

/** A finished image. */
export interface ErofsInfo {
  readonly path: string;
  readonly sizeBytes: number;
  /** Regular files, a file with several names once. */
  readonly fileCount: number;
  /** All inodes, directories and links included. */
  readonly inodeCount: number;
}

/** Time between two calls of `onProgress`. */
const PROGRESS_INTERVAL_MS = 100;

/**
 * Writes `root`, with the contents that its files have, to `outputPath`. The file appears there at once and complete,
 * or not at all.
 *
 * @throws {TreeInvalidError} The format cannot hold the tree.
 * @throws {IoError} The image cannot be written (`"diskFull"` if there is no room), or a content cannot be read.
 * @throws {AbortedError}
 *
 * @example
 * ```ts no-vm
 * import { createDirectory } from "../tree/tree.ts";
 * import { writeErofs } from "./writer.ts";
 *
 * const root = createDirectory();
 * root.entries.set("tmp", { ...createDirectory(), mode: 0o1777 });
 * const { sizeBytes } = await writeErofs(root, "empty.erofs");
 * ```
 */
export async function writeErofs(
  root: DirectoryNode,
  outputPath: string,
  options: ErofsOptions = {},
): Promise<ErofsInfo> {
  using writer = new ErofsWriter(outputPath, options);
  return await writer.finish(root);
}

/**
 * Writes an image. {@linkcode ErofsWriter.addFile} takes the data of files that a stream delivers; {@linkcode
 * ErofsWriter.finish} takes the tree. An unfinished image is removed when `using` leaves its scope.
 */
export class ErofsWriter {
  readonly #options: ErofsOptions;
  readonly #storage: Storage;
  readonly #pace: Pace;
  readonly #volumeName: Uint8Array;
  #fileCount = 0;
  #progressAtMs = 0;
  #openSink: FileSink | undefined;

  /** @throws {IoError} The temporary file beside `outputPath` cannot be created. */
  constructor(outputPath: string, options: ErofsOptions = {}) {
    this.#options = options;
    this.#volumeName = encodeUtf8(options.volumeName ?? "");
    this.#pace = new Pace("writing an EROFS image", options.signal);
    this.#pace.check();
    this.#storage = { file: new ImageFile(outputPath), tails: new TailArena() };
    this.#storage.file.appendZeros(1); // the first block is the superblock's
  }

  /** Bytes of the image so far. */
  get imageBytes(): number {
    return this.#storage.file.positionBytes;
  }

  /**
   * Starts a file of exactly `sizeBytes`. Its bytes go into the sink, whose `end()` gives the `content` for a
   * {@linkcode FileNode} of the tree. One file at a time.
   */
  addFile(sizeBytes: number): FileSink {
    assert(
      this.#openSink === undefined || this.#openSink.missingBytes === 0,
      "one file is written at a time",
    );
    this.#openSink = new FileSink(this.#storage, sizeBytes);
    this.#fileCount++;
    this.#reportProgress();
    return this.#openSink;
  }

  /**
   * Adds the contents that are still missing, writes the metadata, and gives the image its name.
   *
   * @throws As {@linkcode writeErofs}.
   */
  async finish(root: DirectoryNode): Promise<ErofsInfo> {
    const inodes = await InodeTable.of(root, this.#pace);
    let fileCount = 0;
    for (let row = 0; row < inodes.count; row++) {
      if (inodes.kind(row) !== "file") continue;
      fileCount++;
      if (inodes.isStoredIn(row, this.#storage)) continue;
      inodes.stored.set(row, await this.#storeContent(inodes, row, inodes.content(row)));
    }
    const place = await new MetadataWriter(this.#storage, inodes, this.#pace).write();
    const blockCount = this.#storage.file.startBlock();
    const firstBlock = encodeFirstBlock({
      ...place,
      blockCount,
      inodeCount: inodes.count,
      volumeName: this.#volumeName,
    });
    this.#pace.check();
    const sizeBytes = await this.#storage.file.commit(firstBlock);
    this.#reportProgress(true);
    return { path: this.#storage.file.path, sizeBytes, fileCount, inodeCount: inodes.count };
  }

  /** Removes an unfinished image. Does nothing after {@linkcode finish}. */
  [Symbol.dispose](): void {
    this.#storage.file.discard();
  }

  async #storeContent(inodes: InodeTable, row: InodeRow, content: FileContent): Promise<StoredFile> {
    const sink = this.addFile(content.sizeBytes);
    let position = 0;
    for await (const { offsetBytes, bytes } of content.read()) {
      if (offsetBytes < position || offsetBytes + bytes.length > content.sizeBytes) {
        throw new TreeInvalidError(
          inodes.pathOf(row),
          `its content delivers bytes out of order or past its size`,
        );
      }
      sink.writeZeros(offsetBytes - position);
      sink.write(bytes);
      position = offsetBytes + bytes.length;
      if (this.#pace.isTurnOver()) await this.#pace.turn();
    }
    sink.writeZeros(content.sizeBytes - position);
    return sink.end();
  }

  #reportProgress(isEnd = false): void {
    if (this.#options.onProgress === undefined) return;
    const nowMs = performance.now();
    if (!isEnd && nowMs - this.#progressAtMs < PROGRESS_INTERVAL_MS) return;
    this.#progressAtMs = nowMs;
    this.#options.onProgress({ imageBytes: this.imageBytes, fileCount: this.#fileCount });
  }
}
