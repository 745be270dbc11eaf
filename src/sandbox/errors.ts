/** Errors of using a sandbox. @module */
import { MicrosandboxError } from "../base/errors.ts";

/** Neither the image nor the sandbox says which program is the main one. */
export class NoDefaultCommandError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;

  /** @internal */
  constructor(sandbox: string) {
    super("noDefaultCommand", `The image of ${JSON.stringify(sandbox)} has neither ENTRYPOINT nor CMD`, {
      hint: "say what to run with exec(), or set entrypoint() or cmd()",
    });
    this.sandbox = sandbox;
  }
}
