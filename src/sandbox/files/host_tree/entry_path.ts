/**
 * Paths that a guest sends, below the top of what is copied. The guest is hostile: a path passes only if each part of it is
 * the name of something in a directory.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { type EntryName, entryNameOf } from "../../../platform/path_at.ts";
import { FileCopyRefusedError } from "../copy_errors.ts";
import { nameProblem } from "../path.ts";

/** Longest name of a file on Linux, in bytes. */
const NAME_BYTES_MAX = 255;
const SLASH = 0x2f;

/** A path, cut at its last slash. */
export interface CutPath {
  /** Empty: the top. */
  readonly parent: Buffer;
  readonly name: Buffer;
}

/**
 * Cuts a path that is not empty, and checks its last part; the parent was checked when the guest sent that itself.
 *
 * @throws {FileCopyRefusedError}
 */
export function cutEntryPath(bytes: Uint8Array): CutPath {
  const path = Buffer.from(bytes); // a copy: the bytes are a view
  const slash = path.lastIndexOf(SLASH);
  if (slash === 0) throw new FileCopyRefusedError("the sandbox sends an absolute path");
  const name = path.subarray(slash + 1);
  checkName(name);
  return { parent: path.subarray(0, Math.max(slash, 0)), name };
}

function checkName(name: Buffer): void {
  const problem =
    name.length > NAME_BYTES_MAX
      ? `has ${name.length} bytes, more than ${NAME_BYTES_MAX}`
      : nameProblem(name);
  if (problem !== undefined) throw new FileCopyRefusedError(`the sandbox sends a name that ${problem}`);
}

/** Longest target of a symbolic link on Linux, in bytes. */
const TARGET_BYTES_MAX = 4095;

/**
 * Where a symbolic link is to lead, which is nothing but text here: it may lead anywhere, and nothing follows it.
 *
 * @returns `undefined` if this runtime has no way to say it.
 * @throws {FileCopyRefusedError}
 */
export function linkTargetOf(target: Uint8Array): EntryName | undefined {
  if (target.length === 0 || target.length > TARGET_BYTES_MAX || target.includes(0))
    throw new FileCopyRefusedError("the sandbox sends a symbolic link that leads nowhere");
  return entryNameOf(target);
}
