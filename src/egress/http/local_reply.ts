/** Answers a guest in place of the server. @module */
import { STATUS_CODES } from "node:http";
import { MiB } from "../../base/bytes.ts";
import { settlesWithin } from "../../base/wait.ts";
import type { ByteChannel } from "./byte_channel.ts";
import type { HttpProblem } from "./problem.ts";

/** What a guest may still send after its answer, and how long, until it is cut off. */
const LINGER_BYTES_MAX = 1 * MiB;
const LINGER_MS_MAX = 2000;

/** Sends the reason as a response, and ends the connection once the guest has read it. Never rejects. */
export async function replyWithProblem(
  guest: ByteChannel,
  problem: HttpProblem,
  method: string | undefined,
): Promise<void> {
  const body = Buffer.from(`microsandbox: ${problem.message}\n`, "utf8");
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status] ?? "Error"}`,
    "Content-Type: text/plain; charset=utf-8",
    `Content-Length: ${body.length}`,
    "Connection: close",
    "\r\n",
  ].join("\r\n");
  try {
    const bytes = Buffer.from(head, "latin1");
    await guest.write(method === "HEAD" ? bytes : Buffer.concat([bytes, body]));
  } catch {
    // the guest has gone, and does not want to know
  }
  await endGracefully(guest);
}

/** Ends a connection so that the guest gets all that was sent, even if it is still sending. Never rejects. */
export async function endGracefully(guest: ByteChannel): Promise<void> {
  try {
    await guest.end();
    await settlesWithin(drain(guest), LINGER_MS_MAX);
  } catch {
    // it has broken off, which is an end, too
  }
  guest.destroy();
}

/** Reads what a guest had on its way: closing with bytes unread would reset the connection, and lose the answer. */
async function drain(guest: ByteChannel): Promise<void> {
  for (let bytes = 0; bytes < LINGER_BYTES_MAX; ) {
    const piece = await guest.read();
    if (piece === undefined) return;
    bytes += piece.length;
  }
}
