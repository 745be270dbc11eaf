/**
 * A sandbox's row.
 *
 * A row that is damaged is still a sandbox: it is listed, and can be removed. What cannot be read of it is replaced here,
 * once, by what makes the least of it.
 *
 * @module
 */
import type { ProcessIdentity } from "../platform/process_identity.ts";
import type { Row } from "./database.ts";
import { number, optionalNumber, optionalText, optionalTime, text, time } from "./row_fields.ts";
import { isSandboxStatus, type SandboxStatus } from "./status.ts";

/** One sandbox as the state database knows it. */
export interface SandboxRecord {
  /** Unique to this creation: a sandbox of the same name that replaces it has another. */
  readonly id: string;
  readonly name: string;
  readonly status: SandboxStatus;
  /** Why it is in that status, where there is more to say than the status. */
  readonly statusReason: string | undefined;
  /** 1 at creation, one more at each start. */
  readonly bootNumber: number;
  /** What it was created with, as JSON. */
  readonly configJson: string;
  /** The content id of its image. */
  readonly imageDigest: string;
  /** Directory of the sockets of the present boot. */
  readonly runDirectory: string | undefined;
  /** VM host process of the present boot. */
  readonly host: ProcessIdentity | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** When the guest's agent answered last, at the end of a boot. */
  readonly readyAt: Date | undefined;
  /** Whether a program ran when its use was recorded last; tells nothing of a sandbox that does not run. */
  readonly isBusy: boolean;
  /** When its last program ended, of those that are recorded. */
  readonly idleAt: Date | undefined;
  /** What that exited with; `undefined` if it never started. */
  readonly idleExitCode: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
}

/** What a row says, with the rows of its labels. */
export function decodeSandbox(row: Row, labels: readonly Row[]): SandboxRecord {
  const { status, statusReason } = decodeStatus(row);
  const pid = optionalNumber(row, "host_pid");
  return {
    id: text(row, "id"),
    name: text(row, "name"),
    status,
    statusReason,
    bootNumber: number(row, "boot_number"),
    configJson: text(row, "config"),
    imageDigest: text(row, "image_digest"),
    runDirectory: optionalText(row, "run_directory"),
    host: pid === undefined ? undefined : { pid, startTime: optionalText(row, "host_start_time") ?? "" },
    createdAt: time(row, "created_at"),
    updatedAt: time(row, "updated_at"),
    readyAt: optionalTime(row, "ready_at"),
    isBusy: row["is_busy"] === 1,
    idleAt: optionalTime(row, "idle_at"),
    idleExitCode: optionalNumber(row, "idle_exit_code"),
    labels: Object.fromEntries(labels.map((label) => [text(label, "key"), text(label, "value")])),
  };
}

/** A status that no release writes counts as `crashed`: it can be removed, or started if the rest of the row is sound. */
function decodeStatus(row: Row): Pick<SandboxRecord, "status" | "statusReason"> {
  const status = text(row, "status");
  if (isSandboxStatus(status)) return { status, statusReason: optionalText(row, "status_reason") };
  return {
    status: "crashed",
    statusReason: `its record is damaged: the status is ${JSON.stringify(status)}`,
  };
}
