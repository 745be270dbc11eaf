/**
 * Finding the files of one log. Names say little, since a rotation may rename every file between two looks, so files
 * are opened first and identified by what is in them. Looking from the live file to the oldest misses none: rotation
 * moves files only in that direction.
 *
 * @module
 */
import { messageOf } from "../base/errors.ts";
import { LogsUnavailableError } from "./errors.ts";
import { foreignGeneration, parseHeader } from "./header.ts";
import { HEADER_BYTES_MAX, ROTATED_FILES_MAX } from "./limits.ts";
import type { LogFileSpec } from "./log_files.ts";
import type { LogDirectory } from "./log_source.ts";
import {
  closeQuietly,
  descriptorStatus,
  type FileStatus,
  isSameFile,
  openForReading,
  pathStatus,
  readAt,
} from "./read_file.ts";
import { logPath } from "./rotating_file.ts";

/** One file of a log, open. */
export interface GenerationFile {
  readonly descriptor: number;
  /** As it was when the file was opened. */
  readonly status: FileStatus;
  readonly generation: number;
  /** Written by us: generations are numbered one by one, and stamps do not run backwards within the file. */
  readonly hasHeader: boolean;
  /** Whose log this is; `undefined` without a header. */
  readonly sandboxId: string | undefined;
  /** See `LogHeader`. */
  readonly previousSizeBytes: number | undefined;
}

/** All files of one log, oldest first. Closes those that were not taken. */
export class Generations implements Disposable {
  readonly files: GenerationFile[];
  /** The newest file is another sandbox's, which took the name when ours and its logs had been removed. */
  readonly isReplaced: boolean;

  constructor(files: GenerationFile[], isReplaced: boolean) {
    this.files = files;
    this.isReplaced = isReplaced;
  }

  /** Hands over the descriptor of `file`. */
  take(file: GenerationFile): GenerationFile {
    const index = this.files.indexOf(file);
    if (index >= 0) this.files.splice(index, 1);
    return file;
  }

  [Symbol.dispose](): void {
    for (const { descriptor } of this.files.splice(0)) closeQuietly(descriptor);
  }
}

/**
 * Opens all files of a log that are of this sandbox.
 *
 * @throws LogsUnavailableError if one of them cannot be read
 */
export async function openGenerations(
  { directory, sandboxId }: LogDirectory,
  spec: LogFileSpec,
): Promise<Generations> {
  const newestFirst: GenerationFile[] = [];
  try {
    for (let index = 0; index <= ROTATED_FILES_MAX; index++) {
      const descriptor = await openForReading(logPath(directory, spec, index));
      if (descriptor !== undefined) await identify(descriptor, spec, newestFirst);
    }
    const isOwn = (file: GenerationFile) => file.sandboxId === undefined || file.sandboxId === sandboxId;
    const [newest] = newestFirst;
    for (const file of newestFirst) if (!isOwn(file)) closeQuietly(file.descriptor);
    return new Generations(newestFirst.filter(isOwn).reverse(), newest !== undefined && !isOwn(newest));
  } catch (error) {
    for (const { descriptor } of newestFirst) closeQuietly(descriptor);
    const problem = `${spec.filename} cannot be read: ${messageOf(error)}`;
    throw new LogsUnavailableError(problem, directory, { cause: error });
  }
}

/** Adds the open file to those that were found, or closes it if it adds nothing. */
async function identify(descriptor: number, spec: LogFileSpec, newestFirst: GenerationFile[]): Promise<void> {
  let added = false;
  try {
    const status = await descriptorStatus(descriptor);
    // A file that was renamed while we looked is met again under its next name.
    if (newestFirst.some((file) => isSameFile(file.status, status))) return;
    const head = await readAt(descriptor, 0, HEADER_BYTES_MAX);
    const header = parseHeader(spec.format, head);
    const newer = newestFirst.at(-1)?.generation;
    const generation = header?.generation ?? guessGeneration(spec, head, newer);
    if (head.length === 0 || generation < 1 || (newer !== undefined && generation >= newer)) return;
    newestFirst.push({
      descriptor,
      status,
      generation,
      hasHeader: header !== undefined,
      sandboxId: header?.sandboxId,
      previousSizeBytes: header?.previousSizeBytes,
    });
    added = true;
  } finally {
    if (!added) closeQuietly(descriptor);
  }
}

/** For a file of another program: by its first stamp, and if there is none by its place before `newer`. */
function guessGeneration(spec: LogFileSpec, head: Uint8Array, newer: number | undefined): number {
  const before = (newer ?? Number.MAX_SAFE_INTEGER) - 1;
  return Math.min(foreignGeneration(spec.format, head) ?? (newer === undefined ? 1 : before), before);
}

/** The live file as it is now; `undefined` if there is none, as between the steps of a rotation. */
export function liveStatus(directory: string, spec: LogFileSpec): Promise<FileStatus | undefined> {
  return pathStatus(logPath(directory, spec, 0));
}
