/**
 * A file session, seen from a client: requests to the child that answers for files in the guest, and its answers.
 *
 * Answers come in the order of the requests (see `file_messages.ts`), and are taken one at a time: while the caller whose
 * turn it is takes none, the window of the session's stream closes and the guest waits. So a call whose answers are not taken
 * holds up those behind it.
 *
 * The guest is hostile. An answer that cannot be one, by its id, its kind or its size, ends the session with
 * {@linkcode ProtocolError}; no more than a window and a message is ever held.
 *
 * @module
 */
import { settlesWithin } from "../base/wait.ts";
import type { OutputChannel } from "./channels.ts";
import { AgentDisconnectedError, FileSessionFailedError, ProtocolError } from "./errors.ts";
import type { ExecExit, ExecSession } from "./exec_session.ts";
import { FileCall, type FileRequestName } from "./file_call.ts";
import { encodeFileMessage, encodeFileMessageParts, FileMessageDecoder } from "./file_codec.ts";
import type { FileMessage, FileMessageFields } from "./file_messages.ts";
import { RequestBatch } from "./request_batch.ts";

const IDS = 2 ** 32;
/** How long to wait for how the child ended, once it answers no more. */
const EXIT_TIMEOUT_MS = 2_000;
/** How long a child that is let go may take to clean up and exit. */
const LEAVE_TIMEOUT_MS = 1_000;

/** A file session. Made by `AgentClient.openFiles`. Those who wait for its calls keep this process alive; it does not by itself. */
export class FileSession {
  /** The process id of the child in the guest. Rejects with {@linkcode FileSessionFailedError} if there is none. */
  readonly started: Promise<number>;
  /** Resolves when the stream number is free again. Never rejects. */
  readonly finished: Promise<void>;
  readonly #process: ExecSession;
  readonly #answers: OutputChannel;
  readonly #isStopping: () => Promise<boolean>;
  readonly #requests = new RequestBatch((parts) => this.#send(parts));
  /** Those under way, the oldest first: by id. */
  readonly #calls = new Map<number, FileCall>();
  #nextId = 0;
  /** Its last answer is here. */
  #isEnding = false;
  /** Why it has ended, once it has. */
  #error: Error | undefined;

  /**
   * @param process The child, on a stream that {@linkcode filesOpening} opens.
   * @param isStopping Whether the sandbox is about to end, which ends its file sessions as it does programs. Asked if a signal
   * ended the child.
   */
  constructor(process: ExecSession, isStopping: () => Promise<boolean> = async () => false) {
    const answers = process.outputs.get("stdout");
    if (answers === undefined) throw new TypeError("a file session is answered on stdout");
    this.#process = process;
    this.#isStopping = isStopping;
    this.#answers = answers;
    this.started = process.started;
    this.finished = process.finished;
    this.#run().catch((error) => this.#end(error));
  }

  /** Whether requests can be sent. */
  get isOpen(): boolean {
    return this.#error === undefined && !this.#isEnding;
  }

  /** How many calls are under way. */
  get callCount(): number {
    return this.#calls.size;
  }

  /** Sends a request, behind all that was sent before. The call yields its answers. */
  call<N extends FileRequestName>(name: N, fields: FileMessageFields<N>): FileCall {
    const id = this.#nextId;
    this.#nextId = (id + 1) % IDS;
    const isBounded = "length" in fields;
    const contentBytesMax = isBounded ? Number(fields.length) : Number.POSITIVE_INFINITY;
    const call = new FileCall(
      name,
      contentBytesMax,
      (more, moreFields) => this.#write(encodeFileMessageParts(more, id, moreFields)),
      (promise) => this.#process.holding(promise),
    );
    if (this.#error !== undefined) {
      call.fail(this.#error);
      return call;
    }
    const bytes = encodeFileMessage(name, id, fields);
    this.#calls.set(id, call);
    this.#write([bytes]);
    return call;
  }

  /** Ends it: the child in the guest is killed, and calls under way reject with `error`. */
  close(error: Error = closedHere()): void {
    this.#process.close(error);
    this.#end(error);
  }

  /**
   * {@linkcode close} that lets the child end by itself, as it does when there are no more requests: it removes what is half
   * done. One that hangs is killed.
   */
  async leave(error?: Error): Promise<void> {
    this.#end(error ?? closedHere());
    void this.#process.stdin.end(); // may wait for a guest that takes nothing
    await settlesWithin(this.finished, LEAVE_TIMEOUT_MS);
    this.#process.close(error ?? closedHere());
  }

  /** While a call is under way the guest is busy, so that other requests may gather. */
  #write(parts: readonly Uint8Array[]): Promise<boolean> {
    return this.#requests.write(parts, this.#calls.size <= 1);
  }

  /** A child that reads no more will answer no more. */
  async #send(parts: readonly Uint8Array[]): Promise<boolean> {
    try {
      await this.started; // until then nothing takes it
    } catch {
      return false; // the call rejects with the reason
    }
    const isTaken = await this.#process.stdin.writeParts(parts);
    if (!isTaken) this.#process.close(); // what it has answered until then still counts
    return isTaken;
  }

  /** Hands out answers until the channel ends. Rejects with why it was cut off. */
  async #run(): Promise<void> {
    const decoder = new FileMessageDecoder();
    for (let chunk = await this.#answers.next(); chunk !== undefined; chunk = await this.#answers.next()) {
      try {
        await this.#dispatch(decoder.feed(chunk));
      } catch (error) {
        this.close(error as ProtocolError);
      }
      if (!this.isOpen) return;
    }
    this.#isEnding = true;
    const exit = await this.#exit();
    const isStopping = exit?.signal !== undefined && (await this.#isStopping());
    this.#end(isStopping ? sandboxStops() : endedEarly(exit));
  }

  async #exit(): Promise<ExecExit | undefined> {
    const { exited } = this.#process;
    return (await settlesWithin(exited, EXIT_TIMEOUT_MS)) ? await exited : undefined;
  }

  /** Hands each answer to its call, as fast as callers take them. @throws {ProtocolError} */
  async #dispatch(messages: Iterable<FileMessage>): Promise<void> {
    for (const message of messages) {
      const call = this.#callOf(message);
      await call.give(message);
      if (call.isOver) this.#calls.delete(message.id);
      if (!this.isOpen) return;
    }
  }

  /** The call that is answered. @throws {ProtocolError} if it is not the turn of that call. */
  #callOf({ id, name }: FileMessage): FileCall {
    const [oldest] = this.#calls;
    if (oldest?.[0] === id) return oldest[1];
    throw new ProtocolError(`The guest sent ${name} of the file request ${id}, whose turn it is not`);
  }

  #end(error: Error): void {
    if (this.#error !== undefined) return;
    this.#error = error;
    for (const call of this.#calls.values()) call.fail(error);
    this.#calls.clear();
  }
}

function closedHere(): Error {
  return new AgentDisconnectedError("The file session was closed");
}

function sandboxStops(): Error {
  return new FileSessionFailedError("shuttingDown", 0, "the sandbox is shutting down");
}

function endedEarly(exit: ExecExit | undefined): Error {
  return new FileSessionFailedError(
    "other",
    0,
    `the process that works on files in the sandbox ${end(exit)}`,
  );
}

function end(exit: ExecExit | undefined): string {
  if (exit === undefined) return "answers no more";
  return exit.signal === undefined ? `exited with code ${exit.code}` : `was killed by signal ${exit.signal}`;
}
