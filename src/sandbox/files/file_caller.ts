/**
 * Calls of users as requests of file sessions: small ones share a session, the others have one each.
 *
 * @module
 */
import type { AgentClient, Connector } from "../../agent/client.ts";
import type { FilesOpen } from "../../agent/exec_opening.ts";
import type { FileCall, FileRequestName } from "../../agent/file_call.ts";
import type { FileMessage, FileMessageFields, FileMessageName } from "../../agent/file_messages.ts";
import type { FileSession } from "../../agent/file_session.ts";
import { InternalError } from "../../base/errors.ts";
import { Semaphore } from "../../base/semaphore.ts";
import { CallLimit } from "../../base/wait.ts";
import { type FileTask, fileError } from "./errors.ts";
import { keepActive } from "./keep_active.ts";
import type { FsPath } from "./path.ts";
import { sharedSession } from "./shared_session.ts";

/** Calls with a session each that run at a time, over one connection: the guest has room for 256 programs in all. */
const ALONE_MAX = 32;

const turns = new WeakMap<AgentClient, Semaphore>();

/** What every option object of a file call has. */
interface CallOptions {
  readonly user?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A call of a user: what it is about, and what limits it. */
export interface FileWork extends FileTask {
  readonly open: FilesOpen;
  readonly signal: AbortSignal | undefined;
}

/** How a session of one's own ends: killed, or let go so that it removes what is half done. */
export type SessionEnd = "kill" | "leave";

/** Sends the requests of one `SandboxFsOps`. */
export class FileCaller {
  readonly #sandbox: Connector;
  readonly #defaults: FilesOpen;

  constructor(sandbox: Connector, defaults: FilesOpen) {
    this.#sandbox = sandbox;
    this.#defaults = defaults;
  }

  /** Describes a call. */
  work(operation: string, path: FsPath, options: CallOptions, destination?: FsPath): FileWork {
    const { user = this.#defaults.user, signal } = options;
    return { operation, path, destination, user, open: { user, cwd: this.#defaults.cwd }, signal };
  }

  /**
   * Sends a small request, and gives its answers to `take`.
   *
   * @throws {SandboxFsOpsError} if it fails.
   * @throws {AbortedError} if the signal fires.
   */
  async call<N extends FileRequestName, T>(
    work: FileWork,
    name: N,
    fields: FileMessageFields<N>,
    take: (call: FileCall) => Promise<T>,
  ): Promise<T> {
    using limit = limitOf(work);
    try {
      const client = await this.#sandbox.connect({ signal: limit.signal });
      const shared = sharedSession(client, work.open);
      const call = shared.begin((session) => session.call(name, fields));
      try {
        return await limit.race(take(call));
      } finally {
        if (limit.error === undefined) shared.end(call);
        else shared.abandon(call);
      }
    } catch (error) {
      throw limit.error ?? fileError(error, work);
    }
  }

  /** {@linkcode call} for a request with one answer. */
  request<N extends FileRequestName>(
    work: FileWork,
    name: N,
    fields: FileMessageFields<N>,
  ): Promise<FileMessage> {
    return this.call(work, name, fields, (call) => call.result());
  }

  /** Like {@linkcode call}, with a session of its own: for what takes long, or may block. */
  async callAlone<N extends FileRequestName, T>(
    work: FileWork,
    name: N,
    fields: FileMessageFields<N>,
    take: (call: FileCall) => Promise<T>,
  ): Promise<T> {
    return await this.alone(work, (session) => take(session.call(name, fields)));
  }

  /** Runs `body` with a session of its own, when it is its turn. */
  async alone<T>(
    work: FileWork,
    body: (session: FileSession) => Promise<T>,
    end: SessionEnd = "kill",
  ): Promise<T> {
    using limit = limitOf(work);
    try {
      const client = await this.#sandbox.connect({ signal: limit.signal });
      return await turnsOf(client).run(async () => {
        const session = client.openFiles(work.open);
        using _active = keepActive(client);
        try {
          return await limit.race(body(session));
        } finally {
          endSession(session, end, limit.error);
        }
      }, limit.signal);
    } catch (error) {
      throw limit.error ?? fileError(error, work);
    }
  }

  /**
   * Opens a session that lasts until the caller closes it, or the signal of `work` fires: then its calls reject with
   * `AbortedError`.
   *
   * @param isBusy Whether it counts as activity all the time, and not only when something goes one way or the other.
   */
  async open(work: FileWork, end: SessionEnd = "kill", isBusy = false): Promise<FileSession> {
    const limit = limitOf(work);
    try {
      const client = await this.#sandbox.connect({ signal: limit.signal });
      if (limit.error !== undefined) throw limit.error;
      const session = client.openFiles(work.open);
      limit.onReached((error) => endSession(session, end, error));
      const active = isBusy ? keepActive(client) : undefined;
      session.finished.then(() => {
        limit[Symbol.dispose]();
        active?.[Symbol.dispose]();
      });
      return session;
    } catch (error) {
      limit[Symbol.dispose]();
      throw limit.error ?? fileError(error, work);
    }
  }
}

function endSession(session: FileSession, end: SessionEnd, error: Error | undefined): void {
  if (end === "leave" && error !== undefined) void session.leave(error);
  else session.close(error);
}

/** The answer, which the session has checked to be one of this request: only its type is not known to the compiler. */
export function answerOf<N extends FileMessageName>(
  name: N,
  answer: FileMessage | undefined,
): FileMessageFields<N> {
  if (answer?.name !== name) throw new InternalError(`expected ${name}, got ${answer?.name}`);
  return answer.fields as FileMessageFields<N>;
}

function limitOf({ operation, path, signal }: FileWork): CallLimit {
  const shown = typeof path === "string" ? JSON.stringify(path) : "a file";
  return new CallLimit({ action: `working on ${shown} in the sandbox (${operation})`, signal });
}

function turnsOf(client: AgentClient): Semaphore {
  const known = turns.get(client);
  if (known !== undefined) return known;
  const made = new Semaphore(ALONE_MAX);
  turns.set(client, made);
  return made;
}
