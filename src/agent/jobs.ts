/**
 * A client's requests that concern jobs: detached programs of which the VM host process keeps a record.
 *
 * @module
 */
import { type Bytes, decodeUtf8 } from "../base/bytes.ts";
import { encodeMessage } from "./codec.ts";
import { JobNameTakenError } from "./errors.ts";
import {
  type Adoption,
  adoptionOpening,
  type ExecOpening,
  type ExecStart,
  execOpening,
} from "./exec_opening.ts";
import type { ExecSession } from "./exec_session.ts";
import { Answers } from "./pending_answers.ts";
import { JobFailure, JobFlag, type MessageFields, type SentText } from "./protocol.ts";

/** How long the VM host process may take: it waits for the state database, as long as others write to it. */
const ANSWER_TIMEOUT_MS = 30_000;

/** Bytes of a job's command that its record holds; what is longer is cut. */
export const JOB_COMMAND_BYTES_MAX = 4_096;
const WORD_SIZE_BYTES = 4;
const CUT_MARK = "…";

/** What requests need of the connection. */
export interface JobWire {
  /** A new stream number. @throws the opening's failure if there are none left. */
  takeStream(opening: ExecOpening): number;
  /** Opens a session, on a new stream unless one was taken. */
  open(opening: ExecOpening, stream?: number, logSessionId?: number): ExecSession;
  /** Sends a question whose answer is waited for already. */
  ask<T>(answer: Promise<T>, question: Bytes): Promise<T>;
  send(frame: Bytes): void;
}

/** A job that was started, and its stream. */
export interface StartedJob {
  readonly id: string;
  readonly session: ExecSession;
}

export class AgentJobs {
  readonly #wire: JobWire;
  readonly #answers = new Answers<MessageFields<"jobAnswer">>();
  #nextToken = 1;

  constructor(wire: JobWire) {
    this.#wire = wire;
  }

  /**
   * Has the VM host process note a job, and then starts its program.
   *
   * @throws {JobNameTakenError} if a job that runs has the name.
   * @throws {ExecFailedError} if it cannot be noted, or the connection has no stream numbers left.
   * @throws what `signal` fired with, if it did before the program was to start.
   */
  async start(start: ExecStart, name: string | undefined, signal?: AbortSignal): Promise<StartedJob> {
    const opening = execOpening(start);
    const target = this.#wire.takeStream(opening);
    const flags = start.terminal === undefined ? 0 : JobFlag.tty;
    const fields = { target, flags, name: name ?? "", command: boundedCommand(start.argv) };
    const answer = await this.#ask((token) => encodeMessage("jobStart", 0, { token, ...fields }));
    if (answer.failure === JobFailure.nameTaken) throw new JobNameTakenError(name ?? "", answer.job);
    if (answer.failure !== JobFailure.none) {
      const kind = answer.failure === JobFailure.tooMany ? "tooManySessions" : "other";
      throw opening.failure(kind, 0, answer.message);
    }
    if (signal?.aborted === true) {
      this.#wire.send(encodeMessage("close", target, {})); // the host forgets it
      throw signal.reason;
    }
    return { id: answer.job, session: this.#wire.open(opening, target) };
  }

  /** Sends a signal to the group of a job, or to its process alone. Returns whether it runs. */
  async signal(job: string, signal: number, scope: "group" | "process" = "group"): Promise<boolean> {
    const fields = { job, signal, scope: scope === "group" ? 0 : 1 };
    const { failure } = await this.#ask((token) => encodeMessage("jobSignal", 0, { token, ...fields }));
    return failure === JobFailure.none;
  }

  /**
   * Takes a running job over: its stdin, its terminal, and what it writes from now on. Who had it before gets a
   * `JobAttachedElsewhereError`. The session's `started` rejects with `JobEndedError` if it has ended.
   */
  adopt(adoption: Adoption): ExecSession {
    return this.#wire.open(adoptionOpening(adoption), undefined, adoption.logSessionId);
  }

  /** Takes an answer. */
  receive(answer: MessageFields<"jobAnswer">): void {
    this.#answers.resolve(answer.token, answer);
  }

  /** No answer will come any more. */
  disconnect(error: Error): void {
    this.#answers.rejectAll(error);
  }

  #ask(question: (token: number) => Bytes): Promise<MessageFields<"jobAnswer">> {
    const token = this.#nextToken++;
    const answer = this.#answers.wait(token, "waiting for the VM host process to answer", ANSWER_TIMEOUT_MS);
    return this.#wire.ask(answer, question(token));
  }
}

/** As much of a command line as a record holds: each word costs its bytes and those of its size. */
function boundedCommand(argv: readonly SentText[]): string[] {
  const room = new Uint8Array(JOB_COMMAND_BYTES_MAX);
  const kept: string[] = [];
  let left = JOB_COMMAND_BYTES_MAX;
  for (const given of argv) {
    const word = typeof given === "string" ? given : decodeUtf8(given.subarray(0, JOB_COMMAND_BYTES_MAX + 1));
    left -= WORD_SIZE_BYTES;
    const { read, written } = new TextEncoder().encodeInto(word, room.subarray(0, Math.max(0, left)));
    left -= written;
    if (read === word.length && left >= 0) kept.push(word);
    else return [...kept, `${word.slice(0, read)}${CUT_MARK}`];
  }
  return kept;
}
