/** @module */
import { MicrosandboxError } from "../../base/errors.ts";

/** A file that should be an ext4 disk is none, or not a whole one. */
export class Ext4InvalidError extends MicrosandboxError {
  readonly path: string;
  /** What is wrong with it, e.g. `"superblock checksum does not match"`. */
  readonly problem: string;

  constructor(path: string, problem: string) {
    super("diskInvalid", `Cannot use "${path}" as an ext4 disk: ${problem}`);
    this.path = path;
    this.problem = problem;
  }
}
