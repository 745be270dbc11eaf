/** What TCP and UDP ports that are listened at have in common. @module */
import { errnoOf } from "../base/errors.ts";
import { NetworkError, PortInUseError } from "../network/errors.ts";
import type { PublishedPort } from "../network/published_port.ts";

/** A port of the host that is listened at. */
export interface PortListener {
  /** With the port that was chosen. */
  readonly port: PublishedPort;
  /** Listens no more. */
  close(): void;
  /** Listens no more, and breaks off what came by this port. */
  reset(): void;
}

/** Why a port cannot be listened at. */
export function listenError(wanted: PublishedPort, cause: Error): PortInUseError | NetworkError {
  if (errnoOf(cause) === "EADDRINUSE") return new PortInUseError(wanted, { cause });
  const { bind, hostPort } = wanted;
  return new NetworkError(`Cannot listen at ${bind} port ${hostPort}: ${cause.message}`, { cause });
}
