/**
 * Opens TCP connections to addresses, and says in the guest's terms why one could not be opened.
 *
 * @module
 */
import { createSocket, type Socket as DatagramSocket } from "node:dgram";
import { connect, type Socket } from "node:net";
import { CallLimit } from "../../base/wait.ts";
import type { FlowEnd, FlowRefusal } from "../flow.ts";
import { HOST_ADDRESSES } from "../guest_network.ts";

/** Linux would try for two minutes; a guest's program rarely waits so long, and each try holds a place. */
export const CONNECT_TIMEOUT_MS = 30_000;
/** After this, an idle connection is asked whether its other end is still there. */
const KEEP_ALIVE_MS = 60_000;
/** Where a service of this machine listens that a guest reaches by the host's name. */
const LOOPBACKS: readonly string[] = ["127.0.0.1", "::1"];

const UNREACHABLE: ReadonlySet<string> = new Set([
  "ENETUNREACH",
  "EHOSTUNREACH",
  "EADDRNOTAVAIL",
  "EINVAL", // a link-local address without its link
  "EACCES",
  "EPERM",
]);

/** The addresses to try for a destination of the guest's, in order. */
export function dialledEnds(destination: FlowEnd): readonly FlowEnd[] {
  if (!HOST_ADDRESSES.includes(destination.address)) return [destination];
  return LOOPBACKS.map((address) => ({ address, port: destination.port }));
}

/**
 * Connects to the first of `ends` that accepts. Half-open is allowed on the socket, and it has a listener for errors.
 *
 * @throws the system's error of the last try; `TimeoutError`; `AbortedError` when `signal` fires.
 */
export async function dial(
  ends: readonly FlowEnd[],
  signal: AbortSignal,
  timeoutMs: number = CONNECT_TIMEOUT_MS,
): Promise<Socket> {
  using limit = new CallLimit({ action: "connecting", timeoutMs, signal });
  let failure: unknown = new Error("there is no address to connect to");
  for (const end of ends) {
    try {
      return await dialOne(end, limit);
    } catch (error) {
      failure = error;
      if (limit.error !== undefined) break;
    }
  }
  throw failure;
}

async function dialOne({ address, port }: FlowEnd, limit: CallLimit): Promise<Socket> {
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
  try {
    await limit.race(
      new Promise<void>((resolve, reject) => {
        socket.once("connect", resolve);
        socket.once("error", reject);
        socket.once("close", () => reject(new Error("closed while connecting")));
      }),
    );
  } catch (error) {
    socket.on("error", () => {}); // it comes late, when the limit was reached
    socket.destroy();
    throw error;
  }
  socket.on("error", () => {}); // users of the socket see `close`, too
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  return socket;
}

/** What the guest's kernel is told of an error of a connection to `end`. */
export async function refusalOf(error: unknown, end: FlowEnd): Promise<FlowRefusal> {
  const code = codeOf(error);
  if (code !== undefined && UNREACHABLE.has(code)) return "unreachable";
  if (code === "ETIMEDOUT" || code === "timeout") return "timedOut";
  // Bun says ECONNREFUSED where the kernel has said ENETUNREACH or EHOSTUNREACH.
  return code !== "ECONNREFUSED" || (await hasRoute(end)) ? "refused" : "unreachable";
}

/** Whether the kernel knows a way to an address: it is asked by a UDP socket, which sends nothing. */
async function hasRoute(end: FlowEnd): Promise<boolean> {
  const socket = createSocket(end.address.includes(":") ? "udp6" : "udp4");
  try {
    return (await connectDatagrams(socket, end)) === undefined;
  } finally {
    socket.close();
  }
}

/** Connects a UDP socket. Resolves with the error if the kernel knows no way there. */
export function connectDatagrams(
  socket: DatagramSocket,
  { address, port }: FlowEnd,
): Promise<Error | undefined> {
  return new Promise((resolve) => {
    socket.on("error", resolve);
    const check = (...[error]: readonly unknown[]): void => {
      if (error instanceof Error) return resolve(error);
      try {
        socket.remoteAddress();
        resolve(undefined);
      } catch (reason) {
        // Bun reports no error, but the socket is not connected.
        resolve(new Error("there is no way to the address", { cause: reason }));
      }
    };
    try {
      socket.connect(port, address, check);
    } catch (error) {
      resolve(error instanceof Error ? error : new Error(String(error)));
    }
  });
}

function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}
