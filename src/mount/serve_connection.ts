/**
 * Serves a file system to one that asks over a connection of its own: requests and replies as the kernel writes them, one after
 * the other.
 *
 * @module
 */
import { ChangeSignal } from "../base/change_signal.ts";
import type { UnixConnection } from "../platform/unix_connection.ts";
import type { FileSystemProvider } from "./provider.ts";
import { REPLIES_MAX, WAITING_BYTES_MAX } from "./serve.ts";
import { MountServer, type MountServerOptions } from "./server.ts";

/** Requests that have come and are not looked at; past it the guest waits. */
const RECEIVED_BYTES_MAX = 4 * 1024 * 1024;

/** Answers until the connection ends, or something other than a request comes. Never rejects. */
export async function serveConnection(
  connection: UnixConnection,
  provider: FileSystemProvider,
  options: MountServerOptions,
): Promise<void> {
  const changes = new ChangeSignal();
  const received: Uint8Array[] = [];
  let receivedBytes = 0;
  let replies = 0;
  let isOver = false;
  const server = new MountServer(
    provider,
    options,
    (bytes) => {
      replies++;
      connection.send(bytes);
      connection.drained().then(() => {
        replies--;
        changes.notify();
      });
    },
    () => changes.notify(),
  );
  connection.onData((chunk) => {
    received.push(chunk);
    receivedBytes += chunk.length;
    if (receivedBytes > RECEIVED_BYTES_MAX) connection.pause();
    changes.notify();
  });
  connection.closed.then(() => {
    isOver = true;
    changes.notify();
  });
  const isFull = () =>
    replies > REPLIES_MAX || connection.bufferedBytes + server.usage.pendingBytes > WAITING_BYTES_MAX;
  try {
    while (!isOver) {
      const changed = changes.next;
      const chunk = received.shift();
      if (chunk === undefined) {
        await changed;
        continue;
      }
      receivedBytes -= chunk.length;
      if (receivedBytes <= RECEIVED_BYTES_MAX) connection.resume();
      const steps = server.steps(chunk);
      while (!steps.next().done) while (isFull() && !isOver) await changes.next;
    }
  } catch {
    connection.destroy(); // what came is not a request, so nothing after it has a meaning
  }
  await server.close();
}
