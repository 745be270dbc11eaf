/**
 * A server of the host for guests to reach.
 *
 * @module
 */
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/** What it says. */
export const GREETING = "from the host\n";

/** Says its greeting to each client that has ended its own words. It outlasts no test. */
export async function startGreeter(host: string): Promise<{ readonly port: number } & Disposable> {
  // Not before: on Deno, what is written at the moment when the client's end arrives may be lost (EPIPE).
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {}); // the guest may hang up first
    socket.on("end", () => socket.end(GREETING)).resume();
  });
  server.listen(0, host);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.dispose]: () => void server.close(),
  };
}
