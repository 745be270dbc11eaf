/**
 * The calls of `SandboxFsOps` that make, find, move and remove names.
 *
 * @module
 */
import { FileFlag } from "../../agent/file_messages.ts";
import type { Bytes } from "../../base/bytes.ts";
import { FsContentOps } from "./content_ops.ts";
import { notUtf8 } from "./errors.ts";
import { answerOf, type FileWork } from "./file_caller.ts";
import { type FsWalkEntry, listDirectory, walkTree } from "./list.ts";
import type { FsEntry } from "./metadata.ts";
import {
  checkOptions,
  type FsCopyOptions,
  type FsLinkOptions,
  type FsListOptions,
  type FsMakeTempOptions,
  type FsMkdirOptions,
  type FsOptions,
  type FsRemoveDirOptions,
  type FsRemoveOptions,
  type FsRenameOptions,
  type FsWalkOptions,
  LIST_ENTRIES_MAX,
} from "./options.ts";
import { encodeNamePart, encodePath, exactPathText, type FsPath } from "./path.ts";

/** Whether a path is returned as text or as bytes. */
interface AsBytes {
  /** Whether to return bytes. Text is refused if it is not UTF-8. */
  readonly asBytes: true;
}

/** Names are those of the guest: bytes. */
export abstract class FsNameOps extends FsContentOps {
  /**
   * Lists a directory, by name.
   *
   * @throws {FileNotFoundError}
   * @throws {NotADirectoryError}
   * @throws {FileLimitError} if it has more entries than `entriesMax`.
   *
   * @example
   * ```ts
   * for (const { name, kind, size } of await sandbox.fs().list("/etc")) console.log(kind, size, name);
   * ```
   */
  async list(path: FsPath, options?: FsListOptions): Promise<FsEntry[]> {
    const { entriesMax = LIST_ENTRIES_MAX, ...rest } = checkOptions("list", options);
    return await listDirectory(
      this.caller,
      this.caller.work("list", path, rest),
      encodePath(path),
      entriesMax,
    );
  }

  /**
   * Goes through a tree, each directory before what is in it, otherwise in no particular order. The first entry is the root
   * itself. Links are not followed. What cannot be read is passed over, and its entry says why (`unread`).
   *
   * @throws {FileNotFoundError} when it is read from, if the root is not there.
   *
   * @example
   * ```ts
   * for await (const entry of sandbox.fs().walk("/etc", { depthMax: 1 })) console.log(entry.kind, entry.path);
   * ```
   */
  walk(path: FsPath, options?: FsWalkOptions): ReadableStream<FsWalkEntry> {
    const checked = checkOptions("walk", options);
    return walkTree(this.caller, this.caller.work("walk", path, checked), encodePath(path), checked);
  }

  /**
   * Makes a directory, and those above it. It is no error if it is there already, unless `createParents` is false.
   *
   * @throws {FileExistsError} if something else has that name.
   * @throws {NotADirectoryError} if something above it is no directory.
   */
  async mkdir(path: FsPath, options?: FsMkdirOptions): Promise<void> {
    const { mode, createParents = true, ...rest } = checkOptions("mkdir", options);
    const flags = (createParents ? FileFlag.parents : 0) | (mode === undefined ? 0 : FileFlag.setMode);
    const work = this.caller.work("mkdir", path, rest);
    await this.caller.request(work, "mkdir", { path: encodePath(path), flags, mode: mode ?? 0 });
  }

  /**
   * Removes a file, or whatever else is no directory. Of a symbolic link the link itself.
   *
   * @throws {FileNotFoundError} unless `force` is set.
   * @throws {IsADirectoryError}
   */
  async remove(path: FsPath, options?: FsRemoveOptions): Promise<void> {
    const { force = false, ...rest } = checkOptions("remove", options);
    const flags = FileFlag.notDirectory | (force ? FileFlag.force : 0);
    await this.caller.request(this.caller.work("remove", path, rest), "remove", {
      path: encodePath(path),
      flags,
    });
  }

  /**
   * Removes an empty directory, or with `recursive` one with all that is in it. Links in it are removed, not followed.
   *
   * @throws {DirectoryNotEmptyError} unless `recursive` is set.
   * @throws {FileNotFoundError} unless `force` is set.
   * @throws {NotADirectoryError}
   */
  async removeDir(path: FsPath, options?: FsRemoveDirOptions): Promise<void> {
    const { force = false, recursive = false, ...rest } = checkOptions("removeDir", options);
    const flags = FileFlag.directory | (force ? FileFlag.force : 0) | (recursive ? FileFlag.recursive : 0);
    const work = this.caller.work("removeDir", path, rest);
    const request = { path: encodePath(path), flags };
    if (!recursive) return void (await this.caller.request(work, "remove", request));
    await this.caller.callAlone(work, "remove", request, (call) => call.result());
  }

  /**
   * Copies a file within the sandbox, or with `recursive` a directory. Keeps modes, times, holes and links, and owners where
   * the user may set them. A file that is there is replaced.
   *
   * @throws {FileNotFoundError} if `from`, or the directory of `to`, is not there.
   * @throws {IsADirectoryError} if it is a directory, unless `recursive` is set.
   * @throws {FileExistsError} with `exclusive`.
   */
  async copy(from: FsPath, to: FsPath, options?: FsCopyOptions): Promise<void> {
    const { recursive = false, ...rest } = checkOptions("copy", options);
    const flags = moveFlags(rest) | (recursive ? FileFlag.recursive : 0);
    const request = { from: encodePath(from, "from"), to: encodePath(to, "to"), flags };
    const work = this.caller.work("copy", from, rest, to);
    await this.caller.callAlone(work, "copy", request, (call) => call.result());
  }

  /**
   * Gives a file or directory another name, in one step. What has that name is replaced, unless it is a directory that is not
   * empty.
   *
   * @throws {FileNotFoundError} if `from`, or the directory of `to`, is not there.
   * @throws {FileExistsError} with `exclusive`.
   * @throws {SandboxFsOpsError} with errno EXDEV between file systems.
   */
  async rename(from: FsPath, to: FsPath, options?: FsRenameOptions): Promise<void> {
    const checked = checkOptions("rename", options);
    const request = { from: encodePath(from, "from"), to: encodePath(to, "to"), flags: moveFlags(checked) };
    await this.caller.request(this.caller.work("rename", from, checked, to), "rename", request);
  }

  /** Makes a symbolic link at `path` that leads to `target`, which need not be there. @throws {FileExistsError} */
  async symlink(target: FsPath, path: FsPath, options?: FsLinkOptions): Promise<void> {
    const checked = checkOptions("link", options);
    const request = {
      target: encodePath(target, "target"),
      path: encodePath(path),
      flags: linkFlags(checked),
    };
    await this.caller.request(this.caller.work("symlink", path, checked, target), "symlink", request);
  }

  /** Gives an existing file a second name, `path`. @throws {FileExistsError} @throws {FileNotFoundError} */
  async link(existing: FsPath, path: FsPath, options?: FsLinkOptions): Promise<void> {
    const checked = checkOptions("link", options);
    const request = {
      existing: encodePath(existing, "existing"),
      path: encodePath(path),
      flags: linkFlags(checked),
    };
    await this.caller.request(this.caller.work("link", existing, checked, path), "link", request);
  }

  /** Says where a symbolic link leads, as it is written in it. @throws {SandboxFsOpsError} with errno EINVAL if it is none */
  readLink(path: FsPath, options?: FsOptions): Promise<string>;
  /** {@linkcode readLink} as bytes. */
  readLink(path: FsPath, options: FsOptions & AsBytes): Promise<Bytes>;
  async readLink(path: FsPath, options?: FsOptions & Partial<AsBytes>): Promise<string | Bytes> {
    return await this.#pathAnswer("readLink", path, options);
  }

  /** Gives the absolute path without links, `.` and `..` in it. @throws {FileNotFoundError} */
  realPath(path: FsPath, options?: FsOptions): Promise<string>;
  /** {@linkcode realPath} as bytes. */
  realPath(path: FsPath, options: FsOptions & AsBytes): Promise<Bytes>;
  async realPath(path: FsPath, options?: FsOptions & Partial<AsBytes>): Promise<string | Bytes> {
    return await this.#pathAnswer("realPath", path, options);
  }

  /**
   * Makes an empty file, or a directory, of a name that was not there, for its user alone. Returns its path.
   *
   * @example
   * ```ts
   * const fs = sandbox.fs();
   * const directory = await fs.makeTemp({ kind: "directory", prefix: "build-" });
   * await fs.removeDir(directory, { recursive: true });
   * ```
   */
  async makeTemp(options?: FsMakeTempOptions): Promise<string> {
    const {
      kind = "file",
      directory = "/tmp",
      prefix = "",
      suffix = "",
      ...rest
    } = checkOptions("makeTemp", options);
    const work = this.caller.work("makeTemp", directory, rest);
    const answer = await this.caller.request(work, "makeTemp", {
      directory: encodePath(directory, "directory"),
      prefix: encodeNamePart(prefix, "prefix"),
      suffix: encodeNamePart(suffix, "suffix"),
      flags: kind === "directory" ? FileFlag.directory : 0,
    });
    return textOf(work, answerOf("path", answer).path, "give a directory whose path is UTF-8");
  }

  async #pathAnswer(
    name: "readLink" | "realPath",
    path: FsPath,
    options: (FsOptions & Partial<AsBytes>) | undefined,
  ): Promise<string | Bytes> {
    const { asBytes = false, ...rest } = checkOptions("path", options);
    const work = this.caller.work(name, path, rest);
    const answer = await this.caller.request(work, name, { path: encodePath(path) });
    const bytes = answerOf("path", answer).path as Bytes;
    return asBytes ? bytes : textOf(work, bytes, "pass { asBytes: true }");
  }
}

function textOf(work: FileWork, bytes: Uint8Array, hint: string): string {
  const text = exactPathText(bytes);
  if (text === undefined) throw notUtf8(work, hint);
  return text;
}

function moveFlags({ exclusive = false, createParents = false }: FsRenameOptions): number {
  return (exclusive ? FileFlag.exclusive : 0) | (createParents ? FileFlag.parents : 0);
}

function linkFlags({ replace = false, createParents = false }: FsLinkOptions): number {
  return (replace ? FileFlag.replace : 0) | (createParents ? FileFlag.parents : 0);
}
