/** Errors of networks and ports. @module */
import { MicrosandboxError, type MicrosandboxErrorOptions } from "../base/errors.ts";
import type { PortAddress, PortKind } from "./published_port.ts";

/** A network cannot be made as it was asked for. */
export class NetworkError extends MicrosandboxError {
  /** @internal */
  constructor(message: string, options?: MicrosandboxErrorOptions) {
    super("network", message, options);
  }
}

/** Another program of the host, or another sandbox, listens at that port. */
export class PortInUseError extends MicrosandboxError {
  /** `"tcp"` or `"udp"`. */
  readonly protocol: PortKind;
  /** The host address. */
  readonly bind: string;
  /** The port on the host. */
  readonly hostPort: number;

  /** @internal */
  constructor({ protocol, bind, hostPort }: PortAddress, options?: MicrosandboxErrorOptions) {
    super("portInUse", `${protocol.toUpperCase()} port ${hostPort} of ${bind} is in use`, {
      hint: "choose another hostPort; 0 lets the system choose one",
      ...options,
    });
    this.protocol = protocol;
    this.bind = bind;
    this.hostPort = hostPort;
  }
}

/** All addresses of a network are leased to sandboxes that run. */
export class NetworkExhaustedError extends MicrosandboxError {
  /** The network, in CIDR notation. */
  readonly cidr: string;

  /** @internal */
  constructor(cidr: string, options?: MicrosandboxErrorOptions) {
    super("networkExhausted", `No address of ${cidr} is free`, {
      hint: "stop sandboxes of this network, or choose a larger one",
      ...options,
    });
    this.cidr = cidr;
  }
}

/** Making a network device takes privileges that this process does not have. */
export class NetworkPrivilegeError extends MicrosandboxError {
  /** @internal */
  constructor(reason: string, options?: MicrosandboxErrorOptions) {
    super("networkPrivilege", `Network mode tap needs CAP_NET_ADMIN: ${reason}`, {
      hint: "run as root, or use network mode user, which needs no privileges",
      ...options,
    });
  }
}
