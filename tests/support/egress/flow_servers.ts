/** What tests answer flows of a guest with. @module */
import { createHash } from "node:crypto";
import type { FlowRequest, GuestConnection } from "../../../src/egress/flow.ts";
import type { AgentGuestLink } from "../../../src/egress/guest/guest_link.ts";

/** Lets each connection in and serves it. Resolves `ended` with how many have ended. */
export function serveTcp(
  link: AgentGuestLink,
  serve: (connection: GuestConnection, request: FlowRequest) => Promise<void>,
): { readonly requests: FlowRequest[]; readonly failures: unknown[] } {
  const requests: FlowRequest[] = [];
  const failures: unknown[] = [];
  link.onRequest = (request) => {
    requests.push(request);
    if (request.protocol !== "tcp") return link.refuse(request, "refused");
    link
      .accept(request)
      .then((connection) => serve(connection, request))
      .catch((error) => failures.push(error));
  };
  return { requests, failures };
}

/** Sends back whatever comes, to its end. */
export async function echoBytes({ readable, writable }: GuestConnection): Promise<void> {
  await readable.pipeTo(writable);
}

/** SHA-256 of all that comes, and how much it is. */
export async function digest(
  readable: ReadableStream<Uint8Array>,
): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash("sha256");
  let bytes = 0;
  for await (const chunk of readable) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { sha256: hash.digest("hex"), bytes };
}

/** Sends all of it, and ends this side. */
export async function sendAll(
  { writable }: GuestConnection,
  ...chunks: readonly Uint8Array[]
): Promise<void> {
  const writer = writable.getWriter();
  for (const chunk of chunks) await writer.write(chunk);
  await writer.close();
}
