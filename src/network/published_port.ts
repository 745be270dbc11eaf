/**
 * Ports of the host that lead to ports of a sandbox.
 *
 * @module
 */

/** Ports that one sandbox publishes at a time. */
export const PUBLISHED_PORTS_MAX = 64;

/** What a port is for: the same number can be published once for each. */
export type PortKind = "tcp" | "udp";

/** A port of the host, and the port of the sandbox's loopback interface that it leads to. */
export interface PublishedPort {
  /** `"tcp"` or `"udp"`. */
  readonly protocol: PortKind;
  /** Address of the host to listen at. */
  readonly bind: string;
  /** Port of the host; 0 lets the system choose one. */
  readonly hostPort: number;
  /** Port in the sandbox. */
  readonly guestPort: number;
}

/** Where callers meet a published port. */
export type PortAddress = Pick<PublishedPort, "protocol" | "bind" | "hostPort">;

/** As one text, which tells it from all others. */
export function formatPortAddress({ protocol, bind, hostPort }: PortAddress): string {
  return `${protocol} ${bind} ${hostPort}`;
}

/** As one text: how ports travel between processes. */
export function formatPort({ bind, hostPort, guestPort, protocol }: PublishedPort): string {
  return `${bind} ${hostPort} ${guestPort} ${protocol}`;
}

/** The reverse of {@linkcode formatPort}. */
export function parsePort(text: string): PublishedPort {
  const [bind = "", hostPort, guestPort, protocol] = text.split(" ");
  return {
    protocol: protocol === "udp" ? "udp" : "tcp",
    bind,
    hostPort: Number(hostPort),
    guestPort: Number(guestPort),
  };
}
