/**
 * Working on the files of a running sandbox.
 *
 * @module
 */
import type { Connector } from "../../agent/client.ts";
import type { FilesOpen } from "../../agent/exec_opening.ts";
import { FILE_OWNER_UNCHANGED, FileFlag } from "../../agent/file_messages.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { FsCopyOps } from "./copy_ops.ts";
import { SandboxFsOpsError } from "./errors.ts";
import { answerOf } from "./file_caller.ts";
import { type FsMetadata, metadataOf } from "./metadata.ts";
import {
  checkMode,
  checkOptions,
  checkOwner,
  checkTime,
  type FsAccessOptions,
  type FsFollowOptions,
  type FsOptions,
  type FsOwner,
  type FsTimes,
  type FsWatchOptions,
} from "./options.ts";
import { encodePath, type FsPath } from "./path.ts";
import { type FsWatch, watchPath } from "./watch.ts";

/** What says that nothing is there: neither it, nor a directory above it. */
const ABSENT: readonly (string | undefined)[] = ["ENOENT", "ENOTDIR"];
/** What says that the user may not: by the mode, the file system, or a program that runs it. */
const FORBIDDEN: readonly (string | undefined)[] = ["EACCES", "EPERM", "EROFS", "ETXTBSY"];

/**
 * The files of a running sandbox, with the names of the known SDK. Made by `Sandbox.fs()`.
 *
 * Calls run as the sandbox's user (as programs do), or as another one with `user`. They run in a process of their own in the
 * guest, beside its programs: one that hangs, on a FIFO or a dead mount, holds up nothing else, and its signal ends it. While
 * the sandbox is paused they reject (`SandboxFsOpsError` of kind `paused`).
 *
 * @example
 * ```ts
 * const fs = sandbox.fs();
 * await fs.write("/srv/app/greeting.txt", "hello");
 * console.log(await fs.readToString("/srv/app/greeting.txt")); // hello
 * console.log((await fs.list("/srv/app")).map(({ name }) => name)); // [ "greeting.txt" ]
 * ```
 */
export class SandboxFsOps extends FsCopyOps {
  /** Use `Sandbox.fs()`. @internal */
  constructor(sandbox: Connector, defaults: FilesOpen) {
    super(sandbox, defaults);
  }

  /** What is known of a file; a symbolic link stands for what it leads to. @throws {FileNotFoundError} */
  async stat(path: FsPath, options?: FsOptions): Promise<FsMetadata> {
    return await this.#stat("stat", path, options);
  }

  /** {@linkcode stat} of a symbolic link itself. */
  async lstat(path: FsPath, options?: FsOptions): Promise<FsMetadata> {
    return await this.#stat("lstat", path, options);
  }

  /**
   * Whether something is there. A symbolic link that leads nowhere is nothing.
   *
   * @throws {PermissionDeniedError} if the user may not look: then it is not known.
   */
  async exists(path: FsPath, options?: FsOptions): Promise<boolean> {
    return await this.#is("exists", path, 0, options, ABSENT);
  }

  /**
   * Whether the user may read, write or execute a file, all of what is asked for.
   *
   * @throws {FileNotFoundError} if it is not there.
   */
  async access(path: FsPath, options: FsAccessOptions): Promise<boolean> {
    const { read = false, write = false, execute = false, ...rest } = checkOptions("access", options);
    if (!read && !write && !execute)
      throw new InvalidConfigError([{ field: "options", problem: "must ask for read, write or execute" }]);
    const mode = (read ? 4 : 0) | (write ? 2 : 0) | (execute ? 1 : 0);
    return await this.#is("access", path, mode, rest, FORBIDDEN);
  }

  /** Sets the permission bits of a file, 0 to `0o7777`. @throws {FileNotFoundError} @throws {PermissionDeniedError} */
  async chmod(path: FsPath, mode: number, options?: FsOptions): Promise<void> {
    const work = this.caller.work("chmod", path, checkOptions("plain", options));
    await this.caller.request(work, "chmod", { path: encodePath(path), flags: 0, mode: checkMode(mode) });
  }

  /**
   * Gives a file to another user or group: by number (`{ uid, gid }`), or by name (`"user"`, `"user:group"`, `":group"`).
   *
   * @throws {PermissionDeniedError} unless the user is root.
   */
  async chown(path: FsPath, owner: FsOwner, options?: FsFollowOptions): Promise<void> {
    const { follow = true, ...rest } = checkOptions("follow", options);
    const checked = checkOwner(owner);
    const ids = typeof checked === "string" ? {} : checked;
    await this.caller.request(this.caller.work("chown", path, rest), "chown", {
      path: encodePath(path),
      flags: follow ? 0 : FileFlag.noFollow,
      uid: ids.uid ?? FILE_OWNER_UNCHANGED,
      gid: ids.gid ?? FILE_OWNER_UNCHANGED,
      owner: typeof checked === "string" ? checked : "",
    });
  }

  /** Sets when a file was changed and read last. Numbers are milliseconds since 1970, bigints nanoseconds. */
  async utimes(path: FsPath, times: FsTimes, options?: FsFollowOptions): Promise<void> {
    const { follow = true, ...rest } = checkOptions("follow", options);
    const accessedNs = checkTime(times.accessed, "times.accessed");
    const modifiedNs = checkTime(times.modified, "times.modified");
    const flags =
      (follow ? 0 : FileFlag.noFollow) |
      (accessedNs === undefined ? 0 : FileFlag.setAccessed) |
      (modifiedNs === undefined ? 0 : FileFlag.setModified);
    const request = {
      path: encodePath(path),
      flags,
      accessedNs: accessedNs ?? 0n,
      modifiedNs: modifiedNs ?? 0n,
    };
    await this.caller.request(this.caller.work("utimes", path, rest), "utimes", request);
  }

  /**
   * Tells of changes in a directory, with `recursive` in all of its tree, or of one file. `ready` of what is returned says from
   * when on none is missed: await it before you do what is to be seen.
   *
   * @throws {FileNotFoundError} from `ready` and from the stream, if it is not there.
   * @throws {AbortedError} from the stream, when `signal` fires.
   */
  watch(path: FsPath, options?: FsWatchOptions): FsWatch {
    const { recursive = false, ...rest } = checkOptions("watch", options);
    return watchPath(this.caller, this.caller.work("watch", path, rest), encodePath(path), recursive);
  }

  async #stat(
    operation: "stat" | "lstat",
    path: FsPath,
    options: FsOptions | undefined,
  ): Promise<FsMetadata> {
    const work = this.caller.work(operation, path, checkOptions("plain", options));
    const flags = operation === "lstat" ? FileFlag.noFollow : 0;
    const answer = await this.caller.request(work, "stat", { path: encodePath(path), flags });
    return metadataOf(answerOf("attributes", answer));
  }

  /** Whether a question about access is answered by yes; the errors in `no` are a no. */
  async #is(
    operation: string,
    path: FsPath,
    mode: number,
    options: FsOptions | undefined,
    no: readonly (string | undefined)[],
  ): Promise<boolean> {
    const work = this.caller.work(operation, path, checkOptions("plain", options));
    try {
      await this.caller.request(work, "access", { path: encodePath(path), mode });
      return true;
    } catch (error) {
      if (error instanceof SandboxFsOpsError && no.includes(error.errnoName)) return false;
      throw error;
    }
  }
}

/** The files of a sandbox, as its programs see them: as its user, from its working directory on. */
export function sandboxFs(sandbox: Connector, config: SandboxConfig): SandboxFsOps {
  return new SandboxFsOps(sandbox, {
    user: config.user ?? config.imageConfig.user ?? "",
    cwd: config.workdir ?? (config.imageConfig.workingDir || "/"),
  });
}
