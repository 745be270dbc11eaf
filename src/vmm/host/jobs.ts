/**
 * The jobs of this boot: detached programs with a record. A client announces one before it starts its program; from then on
 * this sees the program's frames pass, and keeps the record true, whatever becomes of the client.
 *
 * @module
 */
import { decodeMessage } from "../../agent/codec.ts";
import type { Frame } from "../../agent/frame.ts";
import { logSessionId } from "../../agent/log_session.ts";
import {
  FrameFlag,
  JobFailure,
  JobFlag,
  MESSAGES,
  type MessageFields,
  SESSIONS_MAX,
} from "../../agent/protocol.ts";
import type { LogPosition } from "../../logs/cursor.ts";
import { JOB_OUTPUT_OVER_TEXT, jobExitText } from "../../logs/markers.ts";
import { TerminalModes } from "../../platform/terminal_modes.ts";
import type { JobExit, JobRecord } from "../../state/job_record.ts";
import type { JobRecorder } from "./job_recorder.ts";

/** 80 random bits, in letters that no reader takes for others. */
const ID_CHARS = 16;
const ID_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** Characters of a name, and of what a client may send as a command: see `JOB_COMMAND_BYTES_MAX`. */
const NAME_CHARS_MAX = 128;
const COMMAND_WORDS_MAX = 2_048;

/** What programs write to pipes, and what they read: nearly all frames, and nothing to record. */
const DATA_TYPES: ReadonlySet<number> = new Set(
  [MESSAGES.stdout, MESSAGES.stderr, MESSAGES.credit].map(({ type }) => type),
);

/** What of the sandbox's log jobs need. The log writer of `src/logs` is one. */
export interface JobLog {
  system(text: string, sessionId: number): void;
  flush(sessionId: number): void;
  readonly position: LogPosition | undefined;
}

interface Job {
  record: JobRecord;
  /** Under which number the guest has it, or will have when it comes to what it was sent. */
  stream: number;
  /** No `execStart` has come for it yet. */
  isAnnounced: boolean;
  /** What it has switched on in its terminal. */
  readonly modes: TerminalModes;
}

/** A job that was taken over, at the moment when its output begins to go to the new client. */
export interface Handover {
  readonly source: number;
  /** Where the log is; `undefined` while it cannot be written. */
  readonly position: LogPosition | undefined;
  /** See `jobScreen`. */
  readonly screen: string;
}

type Answer = Omit<MessageFields<"jobAnswer">, "token">;

export class Jobs {
  readonly #bootNumber: number;
  readonly #recorder: JobRecorder;
  readonly #log: JobLog;
  /** Those that have not exited, by id. */
  readonly #open = new Map<string, Job>();
  /** Every number under which frames of a job may come. */
  readonly #byStream = new Map<number, Job>();
  /** The former number of a job that the guest was asked to hand over, by the new one. */
  readonly #handovers = new Map<number, number>();

  constructor(bootNumber: number, recorder: JobRecorder, log: JobLog) {
    this.#bootNumber = bootNumber;
    this.#recorder = recorder;
    this.#log = log;
  }

  /**
   * Notes a job whose program is to come on stream `target`, which no program has had. Answers once it is recorded: at once,
   * unless other processes hold the state database.
   */
  announce({ target, flags, name, command }: MessageFields<"jobStart">): Answer | Promise<Answer> {
    if (name.length > NAME_CHARS_MAX || command.length > COMMAND_WORDS_MAX)
      return refusal(JobFailure.other, "the name or the command is too long");
    const holder = name === "" ? undefined : this.#named(name);
    if (holder !== undefined)
      return { ...refusal(JobFailure.nameTaken, "a job that runs has the name"), job: holder.record.id };
    if (this.#open.size >= SESSIONS_MAX) return refusal(JobFailure.tooMany, "too many jobs run at once");
    const record = this.#newRecord(target, flags, name, command);
    const job: Job = { record, stream: target, isAnnounced: true, modes: new TerminalModes() };
    this.#open.set(record.id, job);
    this.#byStream.set(target, job);
    return this.#recorder.add(record) ? accepted(job) : this.#recordLater(job);
  }

  async #recordLater(job: Job): Promise<Answer> {
    const failure = await this.#recorder.addLater(() => job.record);
    if (failure === undefined) return accepted(job);
    this.#forget(job);
    return refusal(JobFailure.notRecorded, failure.message);
  }

  #newRecord(target: number, flags: number, name: string, command: readonly string[]): JobRecord {
    return {
      id: newId(),
      bootNumber: this.#bootNumber,
      sessionId: logSessionId(this.#bootNumber, target),
      name: name === "" ? undefined : name,
      command,
      isTty: (flags & JobFlag.tty) !== 0,
      status: "starting",
      pid: undefined,
      startedAt: new Date(),
      endedAt: undefined,
      exit: undefined,
      failure: undefined,
      isOutputOver: false,
      logStart: this.#log.position,
      logEnd: undefined,
    };
  }

  /** The number under which the guest has a job that runs. */
  streamOf(id: string): number | undefined {
    const job = this.#open.get(id);
    return job?.record.status === "running" ? job.stream : undefined;
  }

  /** A job is to go on under the number `target`, which is new: the guest is asked next. Returns its former number. */
  handOver(id: string, target: number): number | undefined {
    const job = this.#open.get(id);
    if (job?.record.status !== "running") return undefined;
    const source = job.stream;
    job.stream = target;
    this.#byStream.set(target, job);
    this.#handovers.set(target, source);
    return source;
  }

  /** Sees each frame that goes to the guest. */
  toAgent({ stream, type, flags }: Frame): void {
    const job = this.#byStream.get(stream);
    if (job === undefined || !job.isAnnounced) return;
    if (type === MESSAGES.close.type) this.#fail(job, "the client gave up before it was started");
    else if (type === MESSAGES.execStart.type && (flags & FrameFlag.more) === 0) job.isAnnounced = false;
  }

  /** The program of a stream was not let in. */
  refused(stream: number): void {
    const job = this.#byStream.get(stream);
    if (job !== undefined) this.#fail(job, "the sandbox takes no new programs");
  }

  /** A client has left. */
  clientGone(firstStream: number, lastStream: number): void {
    for (const job of [...this.#open.values()]) {
      if (job.isAnnounced && job.stream >= firstStream && job.stream <= lastStream)
        this.#fail(job, "the client left before it was started");
    }
  }

  /** The guest says that it has handed a program over; `undefined` if it was not asked to. */
  handedOver(target: number): Handover | undefined {
    const source = this.#handovers.get(target);
    const job = this.#byStream.get(target);
    if (source === undefined || job === undefined) return undefined;
    this.#handovers.delete(target);
    this.#log.flush(job.record.sessionId);
    return { source, position: this.#log.position, screen: job.modes.redo };
  }

  /** Sees each frame that comes from the guest, after the log has. */
  fromAgent(frame: Frame): void {
    if (this.#byStream.size === 0 || DATA_TYPES.has(frame.type)) return;
    const job = this.#byStream.get(frame.stream);
    if (job === undefined) return;
    if (frame.type === MESSAGES.output.type) {
      job.modes.follow(frame.payload);
      return;
    }
    const message = decodeMessage(frame);
    switch (message?.name) {
      case "execStarted":
        if (job.record.status === "starting")
          this.#update(job, { status: "running", pid: message.fields.pid });
        break;
      case "execFailed":
        if (job.record.status === "starting") this.#fail(job, message.fields.message);
        break;
      case "exited":
        this.#exited(job, message.fields);
        break;
      case "settled":
        this.#settled(job);
        break;
      case "closed":
        this.#closed(job, frame.stream);
        break;
    }
  }

  /** Records what is not recorded yet: the boot is about to end. */
  flush(): void {
    this.#recorder.flush();
  }

  #exited(job: Job, { code, signal }: MessageFields<"exited">): void {
    if (job.record.status !== "running") return;
    const exit: JobExit = signal === 0 ? { code, signal: undefined } : { code: 128 + signal, signal };
    this.#log.system(jobExitText(exit), job.record.sessionId);
    this.#open.delete(job.record.id);
    this.#update(job, { status: "exited", exit, endedAt: new Date() });
  }

  #settled(job: Job): void {
    if (job.record.status !== "exited" || job.record.isOutputOver) return;
    const { sessionId } = job.record;
    this.#log.flush(sessionId);
    this.#log.system(JOB_OUTPUT_OVER_TEXT, sessionId);
    this.#update(job, { isOutputOver: true, logEnd: this.#log.position });
  }

  /** A number is free again. With the one that the job has, all that the guest can say of it is said. */
  #closed(job: Job, stream: number): void {
    const source = this.#handovers.get(stream);
    this.#byStream.delete(stream);
    this.#handovers.delete(stream);
    if (job.stream !== stream) return;
    if (source !== undefined)
      job.stream = source; // it was not handed over: it has just exited, and this is told next
    else if (job.record.status === "starting") this.#fail(job, "the guest closed its stream");
    else if (job.record.status === "running") {
      this.#forget(job);
      this.#update(job, { status: "lost", endedAt: new Date(), isOutputOver: true });
    }
  }

  #fail(job: Job, failure: string): void {
    this.#forget(job);
    this.#update(job, { status: "failed", failure, endedAt: new Date(), isOutputOver: true });
  }

  #forget(job: Job): void {
    this.#open.delete(job.record.id);
    this.#byStream.delete(job.stream);
  }

  #update(job: Job, changes: Partial<JobRecord>): void {
    job.record = { ...job.record, ...changes };
    this.#recorder.update(job.record);
  }

  #named(name: string): Job | undefined {
    return [...this.#open.values()].find(({ record }) => record.name === name);
  }
}

function accepted({ record }: Job): Answer {
  return { failure: JobFailure.none, job: record.id, message: "" };
}

function refusal(failure: number, message: string): Answer {
  return { failure, job: "", message };
}

function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(ID_CHARS));
  return Array.from(bytes, (byte) => ID_ALPHABET[byte % ID_ALPHABET.length]).join("");
}
