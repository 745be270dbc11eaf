/** Errors of networks and ports. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";

/** A network cannot be made as it was asked for. */
export class NetworkError extends MicrosandboxError {
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("network", message, options);
  }
}

/** Another program of the host, or another sandbox, listens at that port. */
export class PortInUseError extends MicrosandboxError {
  readonly bind: string;
  readonly hostPort: number;

  constructor(bind: string, hostPort: number, options?: MicrosandboxErrorOptions) {
    super("portInUse", `Port ${hostPort} of ${bind} is in use`, {
      hint: "choose another hostPort; 0 lets the system choose one",
      ...options,
    });
    this.bind = bind;
    this.hostPort = hostPort;
  }
}
