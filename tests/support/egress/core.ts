/**
 * An `Egress` with a guest of the test's, real servers on loopback, and its flow log in a list.
 *
 * @module
 */
import { createServer, type Socket } from "node:net";
import type { Clock } from "../../../src/base/clock.ts";
import { pollUntil } from "../../../src/base/wait.ts";
import type { EgressConfig } from "../../../src/egress/config.ts";
import { Egress } from "../../../src/egress/egress.ts";
import type { FlowEnd } from "../../../src/egress/flow.ts";
import type { FlowEntry } from "../../../src/egress/flows/flow_log.ts";
import type { Interceptor } from "../../../src/egress/interceptor.ts";
import { policies } from "../../../src/egress/policy/factories.ts";
import { policyFromLists } from "../../../src/egress/policy/parse_rule.ts";
import { FakeLink, type GuestSocket } from "./fake_link.ts";

/** A configuration that allows what `allow` lists; without it, everything. */
export function configOf(allow?: readonly string[], more: Partial<EgressConfig> = {}): EgressConfig {
  return {
    policy: allow === undefined ? policies.allowAll() : policyFromLists({ allow }, "network"),
    dns: { nameservers: [], rebindProtection: true, queryTimeoutMs: 5_000 },
    secrets: [],
    secretViolation: "block-and-log",
    maxConnections: 256,
    rateLimiter: {},
    ...more,
  };
}

export interface TestCore extends AsyncDisposable {
  readonly link: FakeLink;
  readonly egress: Egress;
  /** Written when {@linkcode flushed} resolves. */
  readonly entries: FlowEntry[];
  /** Maps an address of the guest's world to a port of this machine's loopback. */
  readonly routes: Map<string, number>;
  /** Where the core wanted to connect, in order. */
  readonly dialled: FlowEnd[];
  /** Waits until no flow is open. */
  idle(): Promise<void>;
  /** Closes the core, so that all entries are there. */
  close(): Promise<void>;
}

export function startCore(
  config: EgressConfig,
  more: { readonly interceptor?: Interceptor; readonly clock?: Clock; readonly isDirect?: boolean } = {},
): TestCore {
  const link = new FakeLink();
  const entries: FlowEntry[] = [];
  const routes = new Map<string, number>();
  const dialled: FlowEnd[] = [];
  const egress = new Egress({
    link,
    config,
    interceptor: more.interceptor,
    clock: more.clock,
    flowSink: {
      async write(batch) {
        entries.push(...batch);
      },
    },
    ownAddresses: () => new Set(),
    route: more.isDirect
      ? undefined
      : (end) => {
          dialled.push(end);
          return {
            address: "127.0.0.1",
            port: routes.get(`${end.address}:${end.port}`) ?? routes.get(end.address) ?? 1,
          };
        },
  });
  const close = () => egress.close();
  const idle = async (): Promise<void> => {
    const isIdle = () => egress.flows.tcp + egress.flows.udp === 0;
    const done = await pollUntil(isIdle, { everyMs: 2, timeoutMs: 20_000 });
    if (!done) throw new Error(`flows are still open: ${JSON.stringify(egress.flows)}`);
  };
  return { link, egress, entries, routes, dialled, idle, close, [Symbol.asyncDispose]: close };
}

/** A TCP server on loopback. */
export async function listen(
  serve: (socket: Socket) => void,
  host = "127.0.0.1",
): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** All that the guest receives until the other side ends. */
export async function readAll(guest: GuestSocket): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of guest.readable) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Sends, and ends if `isLast`. */
export async function send(guest: GuestSocket, text: string | Uint8Array, isLast = false): Promise<void> {
  const writer = guest.writable.getWriter();
  await writer.write(typeof text === "string" ? new TextEncoder().encode(text) : Uint8Array.from(text));
  if (isLast) await writer.close();
  writer.releaseLock();
}
