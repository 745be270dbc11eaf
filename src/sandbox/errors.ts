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

/** The sandbox runs, and what it uses cannot be told (`metricsUnavailable`). */
export class MetricsUnavailableError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;
  /** Linux's number of what went wrong: 110 (`ETIMEDOUT`) if the guest did not answer. */
  readonly errno: number;

  /** @internal */
  constructor(sandbox: string, reason: string, errno: number) {
    super("metricsUnavailable", `Cannot measure the sandbox ${JSON.stringify(sandbox)}: ${reason}`);
    this.sandbox = sandbox;
    this.errno = errno;
  }
}
