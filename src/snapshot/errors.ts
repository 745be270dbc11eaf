/** Errors of snapshots. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";

/** No snapshot of that name. */
export class SnapshotNotFoundError extends MicrosandboxError {
  readonly snapshot: string;

  constructor(snapshot: string) {
    super("snapshotNotFound", `No snapshot is called ${JSON.stringify(snapshot)}`);
    this.snapshot = snapshot;
  }
}

/** The name is taken. */
export class SnapshotAlreadyExistsError extends MicrosandboxError {
  readonly snapshot: string;

  constructor(snapshot: string) {
    super("snapshotAlreadyExists", `A snapshot called ${JSON.stringify(snapshot)} exists already`, {
      hint: "choose another name, or remove it with Snapshot.remove()",
    });
    this.snapshot = snapshot;
  }
}

/** A snapshot, or an archive of one, is not what it was when it was made. */
export class SnapshotIntegrityError extends MicrosandboxError {
  /** Its name, or the path of the archive. */
  readonly snapshot: string;

  constructor(snapshot: string, problem: string, options?: MicrosandboxErrorOptions) {
    super("snapshotIntegrity", `The snapshot ${JSON.stringify(snapshot)} is damaged: ${problem}`, options);
    this.snapshot = snapshot;
  }
}
