/**
 * The files of a volume, while no sandbox need run.
 *
 * @module
 */
import type { VolumeBackend, VolumeFiles, VolumeRecord } from "../../backend/backend.ts";
import type { Bytes } from "../../base/bytes.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { FileSystemError } from "../../mount/errno.ts";
import { joinPath, parentPath } from "../../mount/paths.ts";
import { FileLimitError, type FileTask, notUtf8 } from "../files/errors.ts";
import type { FsEntry, FsMetadata } from "../files/metadata.ts";
import {
  checkOptions,
  type FsCopyOptions,
  type FsListOptions,
  type FsMkdirOptions,
  type FsOptions,
  type FsReadOptions,
  type FsReadStreamOptions,
  type FsRemoveDirOptions,
  type FsRemoveOptions,
  type FsRenameOptions,
  type FsWriteOptions,
  LIST_ENTRIES_MAX,
  READ_BYTES_MAX,
} from "../files/options.ts";
import { compareBytes, exactPathText, type FsPath } from "../files/path.ts";
import type { FsContent } from "../files/write.ts";
import {
  openReadStream,
  readWhole,
  VolumeFileWriter,
  type VolumeFsReadStream,
  VolumeFsWriteSink,
  writeWhole,
} from "./volume_content.ts";
import {
  attempt,
  DIRECTORY_MODE,
  giveTurn,
  lookUp,
  makeDirectories,
  type VolumeWork,
  volumeEntry,
  volumeMetadata,
  volumePath,
} from "./volume_files.ts";
import { copyTree, removeTree } from "./volume_trees.ts";

/** Options of a file call, without the user: files of a volume are worked on as the user of this process. */
export type WithoutUser<T extends FsOptions> = Omit<T, "user">;

/** Work whose files are closed at its end. */
type OpenWork = VolumeWork & Pick<VolumeFiles, "close">;

type CheckedName = Parameters<typeof checkOptions>[0];

/** Entries that are looked at before other work gets its turn. */
const ENTRIES_PER_TURN = 500;

/**
 * The files of a directory volume, with the names of the known SDK and of `sandbox.fs()`. Made by `Volume.fs()`; no sandbox has to
 * run, and any number may. Paths begin at the root of the volume, and cannot leave it.
 *
 * Calls run as the user of this process. Symbolic links are not followed: they are made by guests, and mean something there
 * only; reading one fails with ELOOP. Errors are those of `sandbox.fs()`.
 *
 * @example
 * ```ts no-vm
 * import { Volume } from "microsandbox";
 *
 * const volume = await Volume.create({ name: "notes" });
 * const fs = volume.fs();
 * await fs.write("/2026/plan.txt", "ship it\n");
 * console.log((await fs.list("/2026")).map(({ name }) => name)); // [ "plan.txt" ]
 * await volume.remove();
 * ```
 */
export class VolumeFs {
  readonly #backend: VolumeBackend;
  readonly #volume: VolumeRecord;

  /** Use `Volume.fs()` or `VolumeHandle.fs()`. @internal */
  constructor(backend: VolumeBackend, volume: VolumeRecord) {
    this.#backend = backend;
    this.#volume = volume;
  }

  /**
   * Reads a file, or a part of it, into memory.
   *
   * @throws {FileNotFoundError | IsADirectoryError | PermissionDeniedError}
   * @throws {FileLimitError} if it is longer than `bytesMax`.
   * @throws {UnsupportedError} if the volume is a disk, whose files only a sandbox can read; so do all calls.
   */
  async read(path: FsPath, options?: WithoutUser<FsReadOptions>): Promise<Bytes> {
    return await this.#read("read", path, options);
  }

  /** Reads a file as UTF-8 text. @throws {SandboxFsOpsError} with errno EILSEQ if it is not UTF-8, and as {@linkcode read} */
  async readToString(path: FsPath, options?: WithoutUser<FsReadOptions>): Promise<string> {
    const text = exactPathText(await this.#read("readToString", path, options));
    if (text !== undefined) return text;
    throw notUtf8(this.#task("readToString", path), "use read(), which gives bytes");
  }

  /** Opens a file, or a part of it, as a stream that reads nothing ahead. @throws as {@linkcode read} */
  async readStream(path: FsPath, options?: WithoutUser<FsReadStreamOptions>): Promise<VolumeFsReadStream> {
    const { offset = 0, length, signal } = this.#options("readStream", options);
    const place = volumePath(path);
    const work = await this.#open(this.#task("readStream", path), signal);
    const close = () => void work.close();
    try {
      return await openReadStream(work, place, { offset, length }, close);
    } catch (error) {
      close();
      throw error;
    }
  }

  /**
   * Writes a file: text (as UTF-8), bytes, a `Blob`, or a stream. Makes the directories above it, and replaces what it held,
   * unless the options say otherwise.
   *
   * @throws {PermissionDeniedError | IsADirectoryError | NoSpaceError}
   * @throws {FileExistsError} with `exclusive`, if it is there.
   */
  async write(path: FsPath, data: FsContent, options?: WithoutUser<FsWriteOptions>): Promise<void> {
    const checked = this.#options("write", options);
    const place = volumePath(path);
    await this.#run(this.#task("write", path), checked.signal, (work) =>
      writeWhole(work, place, checked, data),
    );
  }

  /** Opens a file for writing as a stream, with the options of {@linkcode write}. @throws as {@linkcode write} */
  async writeStream(path: FsPath, options?: WithoutUser<FsWriteOptions>): Promise<VolumeFsWriteSink> {
    const checked = this.#options("write", options);
    const place = volumePath(path);
    const work = await this.#open(this.#task("writeStream", path), checked.signal);
    const close = () => void work.close();
    try {
      const writer = await VolumeFileWriter.open(work, place, checked);
      return new VolumeFsWriteSink(writer, checked.atomic === true, close);
    } catch (error) {
      close();
      throw error;
    }
  }

  /** Lists a directory, by name. @throws {FileNotFoundError | NotADirectoryError | FileLimitError} */
  async list(path: FsPath, options?: WithoutUser<FsListOptions>): Promise<FsEntry[]> {
    const { entriesMax = LIST_ENTRIES_MAX, signal } = this.#options("list", options);
    const place = volumePath(path);
    return await this.#run(this.#task("list", path), signal, async (work) => {
      const entries = await attempt(work, () => work.files.list(place));
      if (entries.length > entriesMax)
        throw new FileLimitError(work, entriesMax, "entries", "raise entriesMax");
      const found: FsEntry[] = [];
      for (const { name } of entries) {
        const below = joinPath(place, name);
        const attributes = await attempt(work, () => lookUp(work.files, below));
        if (attributes !== undefined)
          found.push(await attempt(work, () => volumeEntry(work.files, below, attributes)));
        if (found.length % ENTRIES_PER_TURN === 0) await giveTurn(work);
      }
      return found.sort((left, right) => compareBytes(left.nameBytes, right.nameBytes));
    });
  }

  /** Makes a directory, and those above it; with `createParents: false` only itself, and `FileExistsError` if it is there. */
  async mkdir(path: FsPath, options?: WithoutUser<FsMkdirOptions>): Promise<void> {
    const { mode = DIRECTORY_MODE, createParents = true, signal } = this.#options("mkdir", options);
    const place = volumePath(path);
    await this.#run(this.#task("mkdir", path), signal, (work) =>
      attempt(work, async () => {
        if (createParents) await makeDirectories(work.files, place, mode);
        else if (place === "/") throw new FileSystemError("EEXIST");
        else await work.files.makeDirectory?.(place, mode);
      }),
    );
  }

  /** Removes what is not a directory. @throws {FileNotFoundError} unless `force` is set. @throws {IsADirectoryError} */
  async remove(path: FsPath, options?: WithoutUser<FsRemoveOptions>): Promise<void> {
    const { force = false, signal } = this.#options("remove", options);
    const place = volumePath(path);
    await this.#run(this.#task("remove", path), signal, (work) =>
      attempt(work, async () => {
        const found = await lookUp(work.files, place);
        if (found === undefined && force) return;
        if (found?.type === "directory") throw new FileSystemError("EISDIR");
        await work.files.removeFile?.(place);
      }),
    );
  }

  /**
   * Removes an empty directory, or with `recursive` one with all that is in it. Links in it are removed, not followed.
   *
   * @throws {DirectoryNotEmptyError} unless `recursive` is set.
   * @throws {FileNotFoundError} unless `force` is set. @throws {NotADirectoryError}
   */
  async removeDir(path: FsPath, options?: WithoutUser<FsRemoveDirOptions>): Promise<void> {
    const { force = false, recursive = false, signal } = this.#options("removeDir", options);
    const place = volumePath(path);
    await this.#run(this.#task("removeDir", path), signal, async (work) => {
      const found = await attempt(work, () => lookUp(work.files, place));
      if (found === undefined && force) return;
      if (recursive && found?.type === "directory" && place !== "/") return await removeTree(work, place);
      await attempt(work, () => work.files.removeDirectory?.(place));
    });
  }

  /**
   * Copies a file within the volume, or with `recursive` a directory. Keeps modes, times, holes and links. A file that is there
   * is replaced as a whole.
   *
   * @throws {FileNotFoundError} if `from`, or the directory of `to`, is not there.
   * @throws {IsADirectoryError} if it is a directory, unless `recursive` is set.
   * @throws {FileExistsError} with `exclusive`.
   */
  async copy(from: FsPath, to: FsPath, options?: WithoutUser<FsCopyOptions>): Promise<void> {
    const { recursive = false, signal, ...rest } = this.#options("copy", options);
    const [source, target] = [volumePath(from, "from"), volumePath(to, "to")];
    const task = { ...this.#task("copy", from), destination: to };
    await this.#run(task, signal, (work) => copyTree(work, source, target, { recursive, ...rest }));
  }

  /**
   * Gives a file or directory another name, in one step. What has that name is replaced, unless it is a directory that is not
   * empty. @throws {FileNotFoundError} @throws {FileExistsError} with `exclusive`.
   */
  async rename(from: FsPath, to: FsPath, options?: WithoutUser<FsRenameOptions>): Promise<void> {
    const { exclusive = false, createParents = false, signal } = this.#options("rename", options);
    const [source, target] = [volumePath(from, "from"), volumePath(to, "to")];
    await this.#run({ ...this.#task("rename", from), destination: to }, signal, (work) =>
      attempt(work, async () => {
        if (createParents) await makeDirectories(work.files, parentPath(target));
        await work.files.rename?.(source, target, { exclusive, exchange: false });
      }),
    );
  }

  /** What is known of a file; of a symbolic link, what is known of the link itself. @throws {FileNotFoundError} */
  async stat(path: FsPath, options?: WithoutUser<FsOptions>): Promise<FsMetadata> {
    const { signal } = this.#options("plain", options);
    const place = volumePath(path);
    return await this.#run(this.#task("stat", path), signal, (work) =>
      attempt(work, async () => volumeMetadata(await work.files.attributes(place))),
    );
  }

  /** Whether something is there; a symbolic link is something, wherever it leads. */
  async exists(path: FsPath, options?: WithoutUser<FsOptions>): Promise<boolean> {
    const { signal } = this.#options("plain", options);
    const place = volumePath(path);
    return await this.#run(this.#task("exists", path), signal, (work) =>
      attempt(work, async () => (await lookUp(work.files, place)) !== undefined),
    );
  }

  async #read(
    operation: string,
    path: FsPath,
    options: WithoutUser<FsReadOptions> | undefined,
  ): Promise<Bytes> {
    const { offset = 0, length, bytesMax = READ_BYTES_MAX, signal } = this.#options("read", options);
    const place = volumePath(path);
    return await this.#run(this.#task(operation, path), signal, (work) =>
      readWhole(work, place, { offset, length }, bytesMax),
    );
  }

  /** Options of a call. @throws {InvalidConfigError} naming every field that is wrong. */
  #options<N extends CheckedName>(name: N, options: object | undefined): ReturnType<typeof checkOptions<N>> {
    if (options !== undefined && "user" in options && options.user !== undefined)
      throw new InvalidConfigError([
        {
          field: "user",
          problem: "is not known here: a volume's files are worked on as the user of this process",
        },
      ]);
    return checkOptions(name, options);
  }

  #task(operation: string, path: FsPath): FileTask {
    return { operation, path, user: "", place: `in the volume ${JSON.stringify(this.#volume.name)}` };
  }

  async #open(task: FileTask, signal: AbortSignal | undefined): Promise<OpenWork> {
    const { files, close } = await this.#backend.openFiles(this.#volume);
    return { ...task, signal, files, close };
  }

  async #run<T>(
    task: FileTask,
    signal: AbortSignal | undefined,
    action: (work: VolumeWork) => Promise<T>,
  ): Promise<T> {
    const work = await this.#open(task, signal);
    try {
      return await action(work);
    } finally {
      await work.close();
    }
  }
}
