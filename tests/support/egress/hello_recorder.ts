/** Records what a program sends first to a server. @module */
import { execFile } from "node:child_process";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";

/** The first bytes that reach a listener on loopback; `start` names a program that connects to it, or connects itself. */
export function recordHello(
  start: (port: number) => readonly [program: string, words: readonly string[]] | undefined,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.once("data", (chunk: Buffer) => {
        resolve(new Uint8Array(chunk));
        socket.destroy();
        server.close();
      });
      socket.on("error", () => {}); // a client that is cut off resets
    });
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const program = start((server.address() as AddressInfo).port);
      if (program === undefined) return;
      const [name, words] = program;
      // Its exit status does not matter: it is cut off. stdin ends, or s_client would wait for it.
      execFile(name, words, { timeout: 10_000 }, (error) => {
        if (error?.code === "ENOENT") reject(error);
      }).stdin?.end();
    });
  });
}
