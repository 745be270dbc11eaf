/**
 * A job's row: a program of a sandbox that outlives the client that started it.
 *
 * @module
 */
import type { Row } from "./database.ts";
import { number, optionalNumber, optionalText, optionalTime, text, time } from "./row_fields.ts";

/**
 * - `starting`: the program has not answered for its start yet.
 * - `running`: it runs.
 * - `exited`: it has ended by itself, or by a signal; `exit` says how.
 * - `failed`: it could not be started; `failure` says why.
 * - `lost`: its sandbox ended before it was known how the program did.
 */
export type JobStatus = "starting" | "running" | "exited" | "failed" | "lost";

const STATUSES: readonly JobStatus[] = ["starting", "running", "exited", "failed", "lost"];

/** How a job ended. */
export interface JobExit {
  /** The exit code; 128 + signal if a signal ended it. */
  readonly code: number;
  readonly signal: number | undefined;
}

/** A place in the log of what programs write. */
export interface JobLogPosition {
  readonly generation: number;
  readonly offsetBytes: number;
}

/** One job as the state database knows it. */
export interface JobRecord {
  /** Unique among all jobs of all sandboxes. */
  readonly id: string;
  /** The boot of its sandbox in which it was started. */
  readonly bootNumber: number;
  /** Its number in the sandbox's log. */
  readonly sessionId: number;
  readonly name: string | undefined;
  /** Program and arguments; the end of a long one is cut. */
  readonly command: readonly string[];
  /** Whether it runs on a pseudo-terminal. */
  readonly isTty: boolean;
  readonly status: JobStatus;
  /** `undefined` until it runs. */
  readonly pid: number | undefined;
  readonly startedAt: Date;
  readonly endedAt: Date | undefined;
  /** Only of one that has `exited`. */
  readonly exit: JobExit | undefined;
  /** Only of one that has `failed`. */
  readonly failure: string | undefined;
  /** Whether all that it wrote is in the log. */
  readonly isOutputOver: boolean;
  /** Where the log was when it was started, and when all was in it that it wrote. */
  readonly logStart: JobLogPosition | undefined;
  readonly logEnd: JobLogPosition | undefined;
}

/** What a row says. What cannot be read of it makes it a job that is lost: it is listed, and nothing waits for it. */
export function decodeJob(row: Row): JobRecord {
  const status = STATUSES.find((known) => known === row["status"]) ?? "lost";
  const code = optionalNumber(row, "exit_code");
  return {
    id: text(row, "id"),
    bootNumber: number(row, "boot_number"),
    sessionId: number(row, "session_id"),
    name: optionalText(row, "name"),
    command: decodeCommand(text(row, "command")),
    isTty: row["is_tty"] === 1,
    status: status === "exited" && code === undefined ? "lost" : status,
    pid: optionalNumber(row, "pid"),
    startedAt: time(row, "started_at"),
    endedAt: optionalTime(row, "ended_at"),
    exit: code === undefined ? undefined : { code, signal: optionalNumber(row, "exit_signal") },
    failure: optionalText(row, "failure"),
    isOutputOver: row["is_output_over"] === 1,
    logStart: decodePosition(row, "log_start"),
    logEnd: decodePosition(row, "log_end"),
  };
}

function decodePosition(row: Row, column: string): JobLogPosition | undefined {
  const generation = optionalNumber(row, `${column}_generation`);
  const offsetBytes = optionalNumber(row, `${column}_offset`);
  return generation === undefined || offsetBytes === undefined ? undefined : { generation, offsetBytes };
}

function decodeCommand(json: string): readonly string[] {
  try {
    const command: unknown = JSON.parse(json);
    if (Array.isArray(command) && command.every((word) => typeof word === "string")) return command;
  } catch {
    // as below
  }
  return [];
}
