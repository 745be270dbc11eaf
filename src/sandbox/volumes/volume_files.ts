/**
 * How calls of `VolumeFs` reach the files of a volume: paths, errors, and work on trees. Nothing here follows a link: a volume is
 * written by guests, and its links mean something in a guest only.
 *
 * @module
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { FileKind } from "../../agent/file_messages.ts";

import { AbortedError, InvalidConfigError } from "../../base/errors.ts";
import { FileSystemError } from "../../mount/errno.ts";
import { decodeName, encodeName } from "../../mount/names.ts";
import { joinPath, parentPath } from "../../mount/paths.ts";
import type { FileSystemProvider, ProviderAttributes } from "../../mount/provider.ts";
import { type FileTask, failed } from "../files/errors.ts";
import { type FsEntry, type FsMetadata, metadataOf } from "../files/metadata.ts";
import { baseName, encodePath, type FsPath, pathText } from "../files/path.ts";

/** Permission bits of directories that are made on the way. */
export const DIRECTORY_MODE = 0o755;
/** Times of files whose file system does not keep them. */
const UNKNOWN_NS = -(2n ** 63n);

/** A call, and what it works on. */
export interface VolumeWork extends FileTask {
  readonly files: FileSystemProvider;
  readonly signal: AbortSignal | undefined;
}

/** The path below the root of the volume. @throws {InvalidConfigError} */
export function volumePath(path: FsPath, field = "path"): string {
  const names = decodeName(encodePath(path, field))
    .split("/")
    .filter((name) => name !== "" && name !== ".");
  if (names.includes(".."))
    throw new InvalidConfigError([{ field, problem: "must not contain `..`: links are not followed here" }]);
  return `/${names.join("/")}`;
}

/** Runs `action`; an error number becomes the error that users see. @throws {AbortedError} if the signal has fired. */
export async function attempt<T>(work: VolumeWork, action: () => T | Promise<T>): Promise<T> {
  checkSignal(work);
  try {
    return await action();
  } catch (error) {
    throw error instanceof FileSystemError ? failed(work, error.errno) : error;
  }
}

/** @throws {AbortedError} if the signal has fired. */
export function checkSignal({ signal, operation, path }: VolumeWork): void {
  if (signal?.aborted !== true) return;
  throw new AbortedError(
    `working on ${JSON.stringify(pathText(path))} in a volume (${operation})`,
    signal.reason,
  );
}

/** Lets other work of this process run: calls into the file system do not wait. */
export async function giveTurn(work: VolumeWork): Promise<void> {
  await nextTurn();
  checkSignal(work);
}

/** What is at a path; `undefined` if nothing is. */
export async function lookUp(
  files: FileSystemProvider,
  path: string,
): Promise<ProviderAttributes | undefined> {
  try {
    return await files.attributes(path);
  } catch (error) {
    if (error instanceof FileSystemError && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      return undefined;
    throw error;
  }
}

/** Makes a directory, and those above it that are missing. Returns whether it was not there. */
export async function makeDirectories(
  files: FileSystemProvider,
  path: string,
  mode: number = DIRECTORY_MODE,
): Promise<void> {
  /** Those that are missing, the innermost first. */
  const missing: string[] = [];
  for (let at = path; at !== "/"; at = parentPath(at)) {
    const found = await lookUp(files, at);
    if (found !== undefined && found.type !== "directory")
      throw new FileSystemError(found.type === "symlink" ? "ELOOP" : at === path ? "EEXIST" : "ENOTDIR");
    if (found !== undefined) break;
    missing.push(at);
  }
  for (const directory of missing.toReversed()) {
    try {
      await files.makeDirectory?.(directory, directory === path ? mode : DIRECTORY_MODE);
    } catch (error) {
      // Another process was faster.
      if (!(error instanceof FileSystemError) || error.code !== "EEXIST") throw error;
    }
  }
}

/** What is known of a file, for users. */
export function volumeMetadata(attributes: ProviderAttributes): FsMetadata {
  const { type, size, mode, uid, gid, links = 1, device = 0n, inode, special = 0 } = attributes;
  return metadataOf({
    kind: FileKind[type],
    size,
    allocated: attributes.allocated ?? size,
    mode,
    uid,
    gid,
    links,
    device,
    inode,
    special: BigInt(special),
    modifiedNs: attributes.modifiedNs,
    accessedNs: attributes.accessedNs,
    changedNs: attributes.changedNs,
    createdNs: UNKNOWN_NS,
  });
}

/** An entry of a directory, for users. */
export async function volumeEntry(
  files: FileSystemProvider,
  path: string,
  attributes: ProviderAttributes,
): Promise<FsEntry> {
  const pathBytes = encodeName(path);
  const nameBytes = baseName(pathBytes).slice();
  const target = attributes.type === "symlink" ? await files.readLink?.(path) : undefined;
  const targetBytes = target === undefined ? null : encodeName(target);
  return {
    path: pathText(pathBytes),
    name: pathText(nameBytes),
    ...volumeMetadata(attributes),
    target: targetBytes === null ? null : pathText(targetBytes),
    pathBytes,
    nameBytes,
    targetBytes,
  };
}

/** A name in the directory of `path` that nothing has. */
export function temporaryBeside(path: string): string {
  return joinPath(parentPath(path), `.msb-${crypto.randomUUID()}`);
}
