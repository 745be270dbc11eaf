/**
 * Directories of a sandbox: one of them as a list, a tree as a stream.
 *
 * @module
 */
import type { FileCall } from "../../agent/file_call.ts";
import { FileFlag, type FileMessage, type FileMessageFields } from "../../agent/file_messages.ts";
import type { FileSession } from "../../agent/file_session.ts";
import { type Bytes, MiB } from "../../base/bytes.ts";
import { type AnswerSource, AnswerStream } from "./answer_stream.ts";
import { FileLimitError, failed, fileError, type SandboxFsOpsError } from "./errors.ts";
import type { FileCaller, FileWork } from "./file_caller.ts";
import { entryOf, type FsEntry } from "./metadata.ts";
import type { FsWalkOptions } from "./options.ts";
import { checkPathBelow, compareBytes, pathText } from "./path.ts";

/**
 * Names and targets of links that a list takes into memory, where each is held twice and as text: far more than any directory
 * has. A guest that lies could fill the memory with few entries.
 */
const LIST_BYTES_MAX = 64 * MiB;

/** An entry of a tree. */
export interface FsWalkEntry extends FsEntry {
  /** Its path below the root of the walk: `""` is the root itself. */
  readonly relativePath: string;
  /** {@linkcode relativePath}, exactly. */
  readonly relativePathBytes: Bytes;
  /** Why what is below this directory could not be read, or not all of it; `undefined` if it could. */
  readonly unread: SandboxFsOpsError | undefined;
}

/** The entries of the directory `path`, by name. @throws {FileLimitError} if there are more than `entriesMax`, or their names are too long in all. */
export async function listDirectory(
  caller: FileCaller,
  work: FileWork,
  path: Bytes,
  entriesMax: number,
): Promise<FsEntry[]> {
  const entries = await caller.call(work, "list", { path }, async (call) => {
    const found: FsEntry[] = [];
    let bytes = 0;
    for (let answer = await call.next(); answer !== undefined; answer = await call.next()) {
      if (answer.name !== "entry") continue;
      if (found.length === entriesMax)
        throw new FileLimitError(work, entriesMax, "entries", "use walk(), or raise entriesMax");
      checkPathBelow(answer.fields.path, 1);
      bytes += answer.fields.path.length + answer.fields.target.length;
      if (bytes > LIST_BYTES_MAX)
        throw new FileLimitError(
          work,
          LIST_BYTES_MAX,
          "bytes",
          "use walk(), which holds one entry at a time",
        );
      found.push(entryOf(path, answer.fields));
    }
    return found;
  });
  return entries.sort((left, right) => compareBytes(left.nameBytes, right.nameBytes));
}

/** A tree, in a session of its own that is opened when the first entry is wanted. */
export function walkTree(
  caller: FileCaller,
  work: FileWork,
  path: Bytes,
  options: FsWalkOptions,
): ReadableStream<FsWalkEntry> {
  const flags = options.followRoot === false ? FileFlag.noFollow : 0;
  const walk = new Walk(caller, work, { path, flags, depthMax: options.depthMax ?? 0 });
  return new AnswerStream<FsWalkEntry>(walk);
}

type WalkRequest = FileMessageFields<"walk"> & { readonly path: Bytes };

class Walk implements AnswerSource<FsWalkEntry> {
  readonly #caller: FileCaller;
  readonly #work: FileWork;
  readonly #request: WalkRequest;
  #session: FileSession | undefined;
  #call: FileCall | undefined;
  /** The entry that came last: what comes next says whether all of it could be read. */
  #held: FsWalkEntry | undefined;
  #isClosed = false;

  constructor(caller: FileCaller, work: FileWork, request: WalkRequest) {
    this.#caller = caller;
    this.#work = work;
    this.#request = request;
  }

  async next(): Promise<FsWalkEntry | undefined> {
    try {
      this.#call ??= await this.#begin();
      for (let answer = await this.#call.next(); answer !== undefined; answer = await this.#call.next()) {
        const complete = this.#take(answer);
        if (complete !== undefined) return complete;
      }
      const last = this.#held;
      this.#held = undefined;
      return last;
    } catch (error) {
      throw fileError(error, this.#work);
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#call?.discard();
    this.#session?.close();
  }

  async #begin(): Promise<FileCall> {
    const session = await this.#caller.open(this.#work);
    this.#session = session;
    if (this.#isClosed) session.close();
    return session.call("walk", this.#request);
  }

  /** The entry that is complete with this answer. */
  #take(answer: FileMessage): FsWalkEntry | undefined {
    const held = this.#held;
    if (answer.name === "unread" && held !== undefined)
      this.#held = { ...held, unread: failed({ ...this.#work, path: held.pathBytes }, answer.fields.errno) };
    if (answer.name !== "entry") return undefined;
    const relativePathBytes = answer.fields.path.slice();
    checkPathBelow(relativePathBytes);
    this.#held = {
      ...entryOf(this.#request.path, answer.fields),
      relativePath: pathText(relativePathBytes),
      relativePathBytes,
      unread: undefined,
    };
    return held;
  }
}
