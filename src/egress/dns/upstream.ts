/**
 * Asks resolvers: over UDP, over TCP for what does not fit, and the next one if one fails.
 *
 * @module
 */
import { createSocket } from "node:dgram";
import { concatBytes } from "../../base/bytes.ts";
import { CallLimit } from "../../base/wait.ts";
import type { FlowEnd } from "../flow.ts";
import { dial } from "../flows/dial.ts";
import { encodeQuery, parseReply, Rcode, type Reply } from "./message.ts";

/** Tries for each resolver; the second is without EDNS, which some middleboxes drop. */
const ROUNDS = 2;
/** Time limit of one try, so that there is time for the next. */
const TRY_MS_MIN = 500;
const TRY_MS_MAX = 2_500;
/** The longest message (RFC 1035 4.2.2) with its length. */
const TCP_REPLY_BYTES_MAX = 65_537;

/** Answers that say something about the name; all others are failures of the resolver. */
const FINAL: ReadonlySet<number> = new Set([Rcode.ok, Rcode.noSuchName]);

/** What is asked. */
export interface Question {
  /** Lower case, without a final dot. */
  readonly name: string;
  readonly type: string;
}

/**
 * The first answer that a resolver gives within the time; `undefined` if none does.
 *
 * @param timeoutMs For all tries together.
 */
export async function resolve(
  question: Question,
  servers: readonly FlowEnd[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Reply | undefined> {
  using limit = new CallLimit({ action: "resolving a name", timeoutMs, signal });
  const tries = servers.length * ROUNDS;
  const tryMs = Math.min(Math.max(timeoutMs / tries, TRY_MS_MIN), TRY_MS_MAX);
  for (let attempt = 0; attempt < tries && limit.error === undefined; attempt++) {
    const server = servers[attempt % servers.length];
    if (server === undefined) return undefined;
    const reply = await askOne(question, server, tryMs, attempt < servers.length, limit.signal);
    if (reply !== undefined && FINAL.has(reply.rcode)) return reply;
  }
  return undefined;
}

/** `undefined` if there is no answer in time, or an error on the way. */
async function askOne(
  question: Question,
  server: FlowEnd,
  timeoutMs: number,
  hasEdns: boolean,
  signal: AbortSignal,
): Promise<Reply | undefined> {
  using limit = new CallLimit({ action: "asking a resolver", timeoutMs, signal });
  try {
    const reply = await overUdp(question, server, hasEdns, limit);
    return reply.isTruncated ? await overTcp(question, server, hasEdns, limit) : reply;
  } catch {
    return undefined; // the next one is asked
  }
}

async function overUdp(
  { name, type }: Question,
  { address, port }: FlowEnd,
  hasEdns: boolean,
  limit: CallLimit,
): Promise<Reply> {
  // A socket for each query: a forger of the answer must guess its port, too (RFC 5452).
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const id = randomId();
  try {
    return await limit.race(
      new Promise<Reply>((resolve, reject) => {
        socket.on("error", reject);
        socket.on("message", (data) => {
          const reply = parseReply(data, id, name, type);
          if (reply !== undefined) resolve(reply); // a message that does not belong to the query is ignored
        });
        socket.connect(port, address, () =>
          socket.send(encodeQuery(id, name, type, hasEdns), (error) => {
            if (error) reject(error);
          }),
        );
      }),
    );
  } finally {
    socket.close();
  }
}

async function overTcp(
  { name, type }: Question,
  server: FlowEnd,
  hasEdns: boolean,
  limit: CallLimit,
): Promise<Reply> {
  const socket = await dial([server], limit.signal);
  const id = randomId();
  try {
    return await limit.race(
      new Promise<Reply>((resolve, reject) => {
        let received: Uint8Array = new Uint8Array(0);
        socket.on("data", (chunk: Buffer) => {
          received = concatBytes([received, chunk]);
          const length = received.length < 2 ? TCP_REPLY_BYTES_MAX : ((received[0]! << 8) | received[1]!) + 2;
          if (received.length < length) return;
          const reply = parseReply(received.subarray(2, length), id, name, type);
          if (reply === undefined) reject(new Error("the resolver answered something else"));
          else resolve(reply);
        });
        socket.once("close", () => reject(new Error("the resolver ended the connection")));
        const query = encodeQuery(id, name, type, hasEdns);
        socket.write(concatBytes([Uint8Array.of(query.length >> 8, query.length & 255), query]));
      }),
    );
  } finally {
    socket.destroy();
  }
}

function randomId(): number {
  return crypto.getRandomValues(new Uint16Array(1))[0] ?? 0;
}
