/**
 * Changes of files in a sandbox, as they happen.
 *
 * @module
 */
import type { FileCall } from "../../agent/file_call.ts";
import { FileChange, FileFlag, type FileMessageFields } from "../../agent/file_messages.ts";
import type { FileSession } from "../../agent/file_session.ts";
import type { Bytes } from "../../base/bytes.ts";
import { type AnswerSource, AnswerStream } from "./answer_stream.ts";
import { fileError } from "./errors.ts";
import { answerOf, type FileCaller, type FileWork } from "./file_caller.ts";
import { checkPathBelow, joinPath, pathText } from "./path.ts";

/**
 * How long the second half of a rename may take to come, before the first stands for a removal: the kernel tells of both at once,
 * but others may come in between.
 */
const RENAME_WAIT_MS = 10;
/** How many changes are held for the second half of a rename. */
const HELD_MAX = 64;

/** What happened. */
export type FsChangeKind =
  | "created"
  | "modified"
  | "removed"
  | "renamed"
  | "attributes"
  | "overflow"
  | "gone";

/** One change. */
export interface FsChange {
  /**
   * What happened. Two are not about one file: `"overflow"` says that changes were lost, since the guest's kernel holds only so
   * many: look at everything again. `"gone"` is the last: what was watched was removed or renamed itself.
   */
  readonly kind: FsChangeKind;
  /** Its path: what is watched as it was given, a slash, and what changed below it. */
  readonly path: string;
  /** {@linkcode path}, exactly. */
  readonly pathBytes: Bytes;
  /**
   * The path that it had before, if it was renamed within what is watched. A move out of it is `"removed"`, one into it
   * `"created"`.
   */
  readonly previousPath: string | undefined;
  /** Whether it is a directory. */
  readonly isDirectory: boolean;
}

type ChangeMessage = FileMessageFields<"change">;

/** What a later agent may tell of besides is told as `"overflow"`: there is something to look at. */
const KINDS: ReadonlyMap<number, FsChangeKind> = new Map([
  [FileChange.created, "created"],
  [FileChange.modified, "modified"],
  [FileChange.removed, "removed"],
  [FileChange.movedFrom, "removed"],
  [FileChange.movedTo, "created"],
  [FileChange.attributes, "attributes"],
  [FileChange.overflow, "overflow"],
  [FileChange.gone, "gone"],
]);

/**
 * Changes below a path of the sandbox, as a `ReadableStream`. Those that are not taken wait in the guest's kernel, which says
 * `"overflow"` when it drops some. Cancelling it, leaving a loop over it, `await using`, or the signal ends the watch.
 *
 * @example
 * ```ts
 * const fs = sandbox.fs();
 * await fs.mkdir("/tmp/watched");
 * await using watch = fs.watch("/tmp/watched");
 * await watch.ready; // from here on no change is missed
 * await fs.write("/tmp/watched/file", "content");
 * for await (const change of watch) {
 *   console.log(change.kind, change.path); // created /tmp/watched/file
 *   break;
 * }
 * ```
 */
export class FsWatch extends AnswerStream<FsChange> {
  /** Resolves once the watch stands: no later change is missed. Rejects with `SandboxFsOpsError` if there can be none. */
  readonly ready: Promise<void>;

  /** Use `SandboxFsOps.watch()`. @internal */
  constructor(source: Changes) {
    super(source);
    this.ready = source.ready;
  }
}

/** Begins to watch, by a session of its own. */
export function watchPath(caller: FileCaller, work: FileWork, path: Bytes, recursive: boolean): FsWatch {
  return new FsWatch(new Changes(caller, work, path, recursive ? FileFlag.recursive : 0));
}

/** The changes of one watch, with renames joined. */
class Changes implements AnswerSource<FsChange> {
  readonly ready: Promise<void>;
  readonly #work: FileWork;
  readonly #path: Bytes;
  readonly #call: Promise<FileCall>;
  #session: FileSession | undefined;
  #isClosed = false;
  /** Those that have come and were not handed out. The first is half a rename, whose other half may come yet. */
  readonly #held: Change[] = [];
  /** The next one, while it is waited for. */
  #coming: Promise<Change | undefined> | undefined;
  #hasEnded = false;

  constructor(caller: FileCaller, work: FileWork, path: Bytes, flags: number) {
    this.#work = work;
    this.#path = path;
    this.#call = this.#open(caller, { path, flags });
    this.ready = this.#call.then(() => {});
    this.ready.catch(() => {}); // the stream tells as well
  }

  async next(): Promise<FsChange | undefined> {
    return (await this.#call).holding(this.#take());
  }

  async #take(): Promise<FsChange | undefined> {
    for (;;) {
      const first = this.#held[0];
      if (first !== undefined && !(await this.#mayBeJoined(first))) {
        this.#held.shift();
        return this.#told(first);
      }
      if (first !== undefined) continue;
      if (this.#hasEnded) return undefined;
      this.#hold(await this.#next());
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#session?.close();
    this.#call.then((call) => call.discard()).catch(() => {}); // it has ended
  }

  async #open(caller: FileCaller, request: FileMessageFields<"watch">): Promise<FileCall> {
    try {
      const session = await caller.open(this.#work);
      this.#session = session;
      if (this.#isClosed) session.close();
      const call = session.call("watch", request);
      answerOf("opened", await call.next());
      return call;
    } catch (error) {
      this.#session?.close();
      throw fileError(error, this.#work);
    }
  }

  /** Whether another half may come for the first of those that are held; waits for what comes in that case. */
  async #mayBeJoined(first: Change): Promise<boolean> {
    if (first.kind !== FileChange.movedFrom || first.isJoined || this.#hasEnded) return false;
    if (this.#held.length === HELD_MAX) return false;
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), RENAME_WAIT_MS);
    try {
      const next = await Promise.race([this.#next(), late.promise]);
      if (next === "late") return false;
      this.#hold(next);
      return true;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Takes a change: the second half of a rename joins the first. */
  #hold(change: Change | undefined): void {
    this.#coming = undefined;
    if (change === undefined) {
      this.#hasEnded = true;
      return;
    }
    const isHalf = ({ kind, isJoined, cookie }: Change) =>
      kind === FileChange.movedFrom && !isJoined && cookie === change.cookie;
    const at = change.kind === FileChange.movedTo ? this.#held.findIndex(isHalf) : -1;
    const half = this.#held[at];
    if (half === undefined) this.#held.push(change);
    else this.#held[at] = { ...half, path: change.path, previous: half.path, isJoined: true };
  }

  /** What the guest tells next; `undefined` at the end. */
  #next(): Promise<Change | undefined> {
    this.#coming ??= this.#receive();
    return this.#coming;
  }

  async #receive(): Promise<Change | undefined> {
    const call = await this.#call;
    try {
      const answer = await call.next(false); // also asked for half a rename, when no caller waits
      return answer?.name === "change" ? changeOf(answer.fields) : undefined;
    } catch (error) {
      throw fileError(error, this.#work);
    }
  }

  #told({ kind, path, previous, isDirectory, isJoined }: Change): FsChange {
    const pathBytes = joinPath(this.#path, path);
    return {
      kind: isJoined ? "renamed" : (KINDS.get(kind) ?? "overflow"),
      path: pathText(pathBytes),
      pathBytes,
      previousPath: previous === undefined ? undefined : pathText(joinPath(this.#path, previous)),
      isDirectory,
    };
  }
}

/** A change as it is held. */
interface Change {
  readonly kind: number;
  readonly path: Bytes;
  readonly previous: Bytes | undefined;
  readonly cookie: number;
  readonly isDirectory: boolean;
  /** Both halves of it have come. */
  readonly isJoined: boolean;
}

/** @throws {ProtocolError} if the path leads out of what is watched. */
function changeOf({ kind, path, cookie, isDirectory }: ChangeMessage): Change {
  checkPathBelow(path);
  return {
    kind,
    path: path.slice() as Bytes,
    previous: undefined,
    cookie,
    isDirectory: isDirectory !== 0,
    isJoined: false,
  };
}
