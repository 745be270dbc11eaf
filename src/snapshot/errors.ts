/** Errors about snapshots. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";

/** No snapshot of that name exists. Code `"snapshotNotFound"`. */
export class SnapshotNotFoundError extends MicrosandboxError {
  /** Name that was looked for. */
  readonly snapshot: string;

  /** @internal */
  constructor(snapshot: string) {
    super("snapshotNotFound", `No snapshot is called ${JSON.stringify(snapshot)}`);
    this.snapshot = snapshot;
  }
}

/** A snapshot of that name exists already. Code `"snapshotAlreadyExists"`. */
export class SnapshotAlreadyExistsError extends MicrosandboxError {
  /** Name that is taken. */
  readonly snapshot: string;

  /** @internal */
  constructor(snapshot: string) {
    super("snapshotAlreadyExists", `A snapshot called ${JSON.stringify(snapshot)} exists already`, {
      hint: "choose another name, or remove it with Snapshot.remove()",
    });
    this.snapshot = snapshot;
  }
}

/** A snapshot or its archive is damaged, or over a limit. Code `"snapshotIntegrity"`. */
export class SnapshotIntegrityError extends MicrosandboxError {
  /** Name of the snapshot, or path of the archive. */
  readonly snapshot: string;

  /** @internal */
  constructor(snapshot: string, problem: string, options?: MicrosandboxErrorOptions) {
    super("snapshotIntegrity", `The snapshot ${JSON.stringify(snapshot)} is damaged: ${problem}`, options);
    this.snapshot = snapshot;
  }
}
