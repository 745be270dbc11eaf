/**
 * The calls of `SandboxFsOps` that read and write what files hold.
 *
 * @module
 */
import type { Connector } from "../../agent/client.ts";
import type { FilesOpen } from "../../agent/exec_opening.ts";
import type { Bytes } from "../../base/bytes.ts";
import { notUtf8 } from "./errors.ts";
import { FileCaller } from "./file_caller.ts";
import {
  checkOptions,
  checkSize,
  type FsOptions,
  type FsReadOptions,
  type FsReadStreamOptions,
  type FsWriteOptions,
  READ_BYTES_MAX,
} from "./options.ts";
import { encodePath, exactPathText, type FsPath } from "./path.ts";
import { readWhole } from "./read.ts";
import { type FsReadStream, openReadStream } from "./read_stream.ts";
import { type FsContent, writeTarget, writeWhole } from "./write.ts";
import { type FsWriteSink, openWriteSink } from "./write_stream.ts";

/** Calls reject with `SandboxFsOpsError` or a class of it, and with `InvalidConfigError` before anything is sent. */
export abstract class FsContentOps {
  /** @internal */
  protected readonly caller: FileCaller;

  protected constructor(sandbox: Connector, defaults: FilesOpen) {
    this.caller = new FileCaller(sandbox, defaults);
  }

  /**
   * Reads a file, or a part of it, into memory.
   *
   * @throws {FileNotFoundError} if it is not there.
   * @throws {IsADirectoryError} if it is a directory.
   * @throws {PermissionDeniedError} if the user may not read it.
   * @throws {FileLimitError} if it is longer than `bytesMax`.
   * @throws {AbortedError} if `signal` fired.
   *
   * @example
   * ```ts
   * const bytes = await sandbox.fs().read("/etc/passwd", { length: 4 });
   * console.log(new TextDecoder().decode(bytes)); // root
   * ```
   */
  async read(path: FsPath, options?: FsReadOptions): Promise<Bytes> {
    return await this.#read("read", path, options);
  }

  /** Reads a file as UTF-8 text. @throws {SandboxFsOpsError} with errno EILSEQ if it is not UTF-8, and as {@linkcode read} */
  async readToString(path: FsPath, options?: FsReadOptions): Promise<string> {
    const text = exactPathText(await this.#read("readToString", path, options));
    if (text !== undefined) return text;
    throw notUtf8(this.caller.work("readToString", path, {}), "use read(), which gives bytes");
  }

  /** Opens a file, or a part of it, as a stream that reads nothing ahead. @throws as {@linkcode read} */
  async readStream(path: FsPath, options?: FsReadStreamOptions): Promise<FsReadStream> {
    const { offset = 0, length, ...rest } = checkOptions("readStream", options);
    const request = { path: encodePath(path), offset, length };
    return await openReadStream(this.caller, this.caller.work("readStream", path, rest), request);
  }

  /**
   * Writes a file: text (as UTF-8), bytes, a `Blob`, or a stream. Makes the directories above it, and replaces what it held,
   * unless the options say otherwise.
   *
   * @throws {PermissionDeniedError} if the user may not write it.
   * @throws {IsADirectoryError} if it is a directory.
   * @throws {FileExistsError} with `exclusive`, if it is there.
   * @throws {FileNotFoundError} with `create: false`, if it is not there; with `createParents: false`, if its directory is not.
   * @throws {NoSpaceError} if the disk is full.
   * @throws {AbortedError} if `signal` fired.
   *
   * @example
   * ```ts
   * const fs = sandbox.fs();
   * await fs.write("/srv/app/main.sh", "echo hello\n", { mode: 0o755, atomic: true });
   * await fs.write("/srv/app/log", "started\n", { append: true });
   * console.log((await sandbox.exec("sh", ["/srv/app/main.sh"])).stdout()); // hello
   * ```
   */
  async write(path: FsPath, data: FsContent, options?: FsWriteOptions): Promise<void> {
    const checked = checkOptions("write", options);
    const target = writeTarget(encodePath(path), checked);
    await writeWhole(this.caller, this.caller.work("write", path, checked), target, data);
  }

  /** Opens a file for writing as a stream, with the options of {@linkcode write}. @throws as {@linkcode write} */
  async writeStream(path: FsPath, options?: FsWriteOptions): Promise<FsWriteSink> {
    const checked = checkOptions("write", options);
    const target = writeTarget(encodePath(path), checked);
    return await openWriteSink(this.caller, this.caller.work("writeStream", path, checked), target);
  }

  /** Cuts a file to `size` bytes, or fills it with zeros up to them. @throws {FileNotFoundError} */
  async truncate(path: FsPath, size = 0, options?: FsOptions): Promise<void> {
    const work = this.caller.work("truncate", path, checkOptions("plain", options));
    await this.caller.request(work, "truncate", { path: encodePath(path), size: checkSize(size) });
  }

  async #read(operation: string, path: FsPath, options: FsReadOptions | undefined): Promise<Bytes> {
    const { offset = 0, length, bytesMax = READ_BYTES_MAX, ...rest } = checkOptions("read", options);
    const request = { path: encodePath(path), offset, length, bytesMax };
    return await readWhole(this.caller, this.caller.work(operation, path, rest), request);
  }
}
