/**
 * The calls of `SandboxFsOps` that copy between this machine and the sandbox.
 *
 * @module
 */
import type { Connector } from "../../agent/client.ts";
import type { FilesOpen } from "../../agent/exec_opening.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { copyFromHost } from "./copy_from_host.ts";
import {
  type CopyFromHostOptions,
  type CopyToHostOptions,
  parseCopyFromHost,
  parseCopyToHost,
} from "./copy_options.ts";
import type { FileCopyResult } from "./copy_result.ts";
import { copyToHost } from "./copy_to_host.ts";
import { FsNameOps } from "./name_ops.ts";
import { encodePath, type FsPath } from "./path.ts";

/** Both keep permission bits, times, symbolic links, hard links and holes; set-id bits and owners do not come along. */
export abstract class FsCopyOps extends FsNameOps {
  protected constructor(sandbox: Connector, defaults: FilesOpen) {
    super(sandbox, defaults);
  }

  /**
   * Copies a file or a tree of this machine into the sandbox. `guestPath` is what the copy is called; directories above it
   * are made. Directories that are there are merged with, and keep their mode; files are replaced. What is copied belongs to
   * the user of the call. Special files (FIFOs, sockets, devices) are left out, and told of in the result.
   *
   * `hostPath` may be a symbolic link to what is copied. Links within a tree are copied as links.
   *
   * @throws {IoError} if `hostPath` is not there, or cannot be read.
   * @throws {FileCopyError} if it stops in the middle, with what was copied.
   * @throws {SandboxFsOpsError} if nothing could be copied.
   * @throws {AbortedError} if `signal` fired.
   *
   * @example
   * ```ts
   * const { files } = await sandbox.fs().copyFromHost("./rootfs/etc", "/srv/etc", { filter: (path) => path !== "shadow" });
   * console.log(files > 0); // true
   * ```
   */
  async copyFromHost(
    hostPath: string,
    guestPath: FsPath,
    options: CopyFromHostOptions = {},
  ): Promise<FileCopyResult> {
    const config = parseCopyFromHost(options);
    const target = encodePath(guestPath, "guestPath");
    const source = checkHostPath(hostPath);
    const work = this.caller.work("copyFromHost", source, config, guestPath);
    return await copyFromHost(this.caller, work, source, target, config);
  }

  /**
   * Copies a file or a tree of the sandbox to this machine. `hostPath` is what the copy is called; directories above it are
   * made. Directories that are there are merged with, and keep their mode; files and links are replaced, each once its copy
   * is complete. What is copied belongs to the user of this process.
   *
   * A sandbox is not trusted: nothing is written outside `hostPath`, whatever it sends, and no symbolic link is followed below
   * it. Symbolic links are copied, though, wherever they lead: mind that before you follow one. The options have limits for a
   * sandbox that sends more than you expect.
   *
   * @throws {FileNotFoundError} if `guestPath` is not there.
   * @throws {PermissionDeniedError} if the user may not read it.
   * @throws {FileCopyError} if it stops in the middle, with what was copied; also if a limit is reached.
   * @throws {AbortedError} if `signal` fired.
   *
   * @example
   * ```ts no-run: writes to the working directory
   * const { files, bytes } = await sandbox.fs().copyToHost("/srv/app/dist", "./dist", { bytesMax: 1e9 });
   * console.log(`${files} files, ${bytes} bytes`);
   * ```
   */
  async copyToHost(
    guestPath: FsPath,
    hostPath: string,
    options: CopyToHostOptions = {},
  ): Promise<FileCopyResult> {
    const config = parseCopyToHost(options);
    const source = encodePath(guestPath, "guestPath");
    const target = checkHostPath(hostPath);
    const work = this.caller.work("copyToHost", guestPath, config, target);
    return await copyToHost(this.caller, work, source, target, config);
  }
}

function checkHostPath(path: string): string {
  const isPath = typeof path === "string" && path !== "" && !path.includes("\0");
  if (isPath) return path;
  throw new InvalidConfigError([
    { field: "hostPath", problem: "must be a string that is not empty, without NUL" },
  ]);
}
