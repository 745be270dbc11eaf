/** Errors about ext4 disks. @module */
import { MicrosandboxError } from "../../base/errors.ts";

/** A file that should be an ext4 disk is not one, or is incomplete. Code `"diskInvalid"`. */
export class Ext4InvalidError extends MicrosandboxError {
  /** Path of the file. */
  readonly path: string;
  /** The problem, e.g. `"superblock checksum does not match"`. */
  readonly problem: string;

  /** @internal */
  constructor(path: string, problem: string) {
    super("diskInvalid", `Cannot use "${path}" as an ext4 disk: ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}
