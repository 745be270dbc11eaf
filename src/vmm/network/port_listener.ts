/** What TCP and UDP ports that are listened at have in common. @module */
import { errnoOf } from "../../base/errors.ts";
import { NetworkError, PortInUseError } from "../../network/errors.ts";
import type { PublishedPort } from "../../network/published_port.ts";

/** A port of the host that is listened at. */
export interface PortListener {
  /** With the port that was chosen. */
  readonly port: PublishedPort;
  /** Listens no more. */
  close(): void;
  /** Listens no more, and breaks off what came by this port. */
  reset(): void;
}

const NOT_OURS = "bind has to be an address that this host has; 0.0.0.0 stands for all of them";
/** What to do about it, by the system's error. See bind(2), and ip(7) for privileged ports. */
const HINTS: Readonly<Record<string, string>> = {
  EACCES: "ports below 1024 need root or CAP_NET_BIND_SERVICE; choose a higher hostPort",
  EADDRNOTAVAIL: NOT_OURS,
  EINVAL: NOT_OURS, // what one of the runtimes makes of it
};

/** Why a port cannot be listened at. */
export function listenError(wanted: PublishedPort, cause: Error): PortInUseError | NetworkError {
  const errno = errnoOf(cause);
  if (errno === "EADDRINUSE") return new PortInUseError(wanted, { cause });
  const { bind, hostPort } = wanted;
  return new NetworkError(`Cannot listen at ${bind} port ${hostPort}: ${cause.message}`, {
    cause,
    hint: errno === undefined ? undefined : HINTS[errno],
  });
}
