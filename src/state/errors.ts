/** Errors of the state database. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";

/** No sandbox of that name. */
export class SandboxNotFoundError extends MicrosandboxError {
  /** The name (or id) that was asked for. */
  readonly sandbox: string;

  /** @internal */
  constructor(sandbox: string) {
    super("sandboxNotFound", `No sandbox is called ${JSON.stringify(sandbox)}`);
    this.sandbox = sandbox;
  }
}

/** The name is taken, by a running sandbox or by a stopped one. */
export class SandboxAlreadyExistsError extends MicrosandboxError {
  /** The name that is taken. */
  readonly sandbox: string;

  /** @internal */
  constructor(sandbox: string) {
    super("sandboxAlreadyExists", `A sandbox called ${JSON.stringify(sandbox)} exists already`, {
      hint: "use replace() to take its place, Sandbox.start() to run it, or Sandbox.remove() to delete it",
    });
    this.sandbox = sandbox;
  }
}

/** The sandbox that this handle stands for is gone; another one has its name now. */
export class SandboxReplacedError extends MicrosandboxError {
  /** The name that another sandbox has now. */
  readonly sandbox: string;

  /** @internal */
  constructor(sandbox: string) {
    super(
      "sandboxReplaced",
      `The sandbox ${JSON.stringify(sandbox)} was replaced by another of the same name`,
      {
        hint: "get a new handle with Sandbox.get()",
      },
    );
    this.sandbox = sandbox;
  }
}

/** The sandbox runs, and what was asked for needs it stopped. */
export class SandboxStillRunningError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;

  /** @internal */
  constructor(sandbox: string, action: string) {
    super("sandboxStillRunning", `Cannot ${action} ${JSON.stringify(sandbox)} while it runs`, {
      hint: "stop() or kill() it first",
    });
    this.sandbox = sandbox;
  }
}

/** The sandbox does not run, and what was asked for needs it to. */
export class SandboxNotRunningError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;
  /** Its status. */
  readonly status: string;

  /** @internal */
  constructor(
    sandbox: string,
    status: string,
    { reason, ...options }: MicrosandboxErrorOptions & { readonly reason?: string | undefined } = {},
  ) {
    const name = JSON.stringify(sandbox);
    const state =
      reason === undefined || reason === "requested" ? status : `${status}, because of: ${reason}`;
    const canStart = status === "stopped" || status === "crashed";
    super("sandboxNotRunning", `The sandbox ${name} is not running: it is ${state}`, {
      ...(canStart ? { hint: `start it with Sandbox.start(${name})` } : {}),
      ...options,
    });
    this.sandbox = sandbox;
    this.status = status;
  }
}

/** The sandbox keeps starting and stopping, so that the call found no moment to act. */
export class SandboxBusyError extends MicrosandboxError {
  /** The name of the sandbox. */
  readonly sandbox: string;

  /** @internal */
  constructor(sandbox: string, action: string) {
    super("sandboxBusy", `Cannot ${action} ${JSON.stringify(sandbox)}: it keeps starting and stopping`);
    this.sandbox = sandbox;
  }
}

/** The state database cannot be used. */
export class DatabaseError extends MicrosandboxError {
  /** @internal */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("database", message, options);
  }
}

/** Whether it says that a sandbox is gone: removed, or replaced by another of its name. */
export function isGone(error: unknown): boolean {
  return error instanceof SandboxNotFoundError || error instanceof SandboxReplacedError;
}
