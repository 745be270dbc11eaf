/**
 * An HTTP/1.1 proxy for one connection of a guest: one request after the other, each of them judged, rewritten and passed on.
 *
 * Requests that the guest sends ahead wait their turn. Bodies are passed on in the pieces in which they come, in both
 * directions at once.
 *
 * @module
 */
import type { ByteChannel } from "./byte_channel.ts";
import { Exchange, type ExchangeEnd } from "./exchange.ts";
import type { Gate } from "./gate.ts";
import type { HttpHooks } from "./hooks.ts";
import { endGracefully, replyWithProblem } from "./local_reply.ts";
import type { RequestHead } from "./message.ts";
import { MessageReader } from "./message_reader.ts";
import { parseRequestHead } from "./parse_head.ts";
import { HttpProblem, malformed } from "./problem.ts";
import { requestTarget } from "./request_target.ts";
import { pumpBothWays, type TunnelEnd } from "./tunnel.ts";
import { Upstream } from "./upstream.ts";

/** What a proxy is for, and what it asks. */
export interface ProxyOptions {
  readonly scheme: "http" | "https";
  readonly guest: ByteChannel;
  /** What was read from the guest already. */
  readonly reader?: MessageReader | undefined;
  /** Opens a connection to the server of this flow. */
  readonly connect: () => Promise<TunnelEnd>;
  /** Decides whether a request may name this host. @throws {HttpProblem} if not. */
  readonly admit: (host: string, port: number | undefined) => void;
  /** What looks at a request to this host, and at its response. */
  readonly gateFor: (host: string) => Gate | undefined;
  readonly hooks?: HttpHooks | undefined;
  /** Is told of each request that ended in a problem. */
  readonly onProblem: (problem: HttpProblem) => void;
}

/** Serves one connection until it is over. Never rejects; whatever is left open is broken off. */
export async function serveHttp(options: ProxyOptions): Promise<void> {
  const { guest, reader = new MessageReader(guest, malformed) } = options;
  const upstream = new Upstream(options.connect);
  try {
    for (;;) {
      const end = await serveOne(options, reader, upstream);
      if (end === "close") break;
      if (typeof end === "object") return await pumpBothWays({ channel: guest, reader }, end.tunnel);
    }
    await endGracefully(guest);
  } catch {
    // the guest's connection is broken, or must be: nothing more can be sent on it
  } finally {
    upstream.discard();
    guest.destroy();
  }
}

async function serveOne(
  options: ProxyOptions,
  reader: MessageReader,
  upstream: Upstream,
): Promise<ExchangeEnd> {
  let head: RequestHead | undefined;
  let exchange: Exchange | undefined;
  try {
    const bytes = await reader.readHead();
    if (bytes === undefined) return "close";
    head = parseRequestHead(bytes);
    const target = requestTarget(head, options.scheme);
    options.admit(target.host, target.port);
    exchange = new Exchange(options, reader, upstream, head, target);
    return await exchange.run();
  } catch (error) {
    if (!(error instanceof HttpProblem)) throw error;
    options.onProblem(error);
    if (exchange?.isAnswered === true) throw error; // half a response cannot become another
    upstream.discard();
    await replyWithProblem(options.guest, error, head?.method);
    return "close";
  }
}
