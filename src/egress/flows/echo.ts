/**
 * A guest's echo requests ("ping").
 *
 * A program without privileges cannot send any from here: `node:dgram` has no sockets for ICMP. So the gateway answers those to
 * itself, and the guest hears that all other hosts are unreachable, instead of waiting for answers.
 *
 * @module
 */
import type { FlowRequest } from "../flow.ts";
import { GATEWAY_ADDRESSES } from "../guest_network.ts";
import type { FlowCore } from "./core.ts";
import { logDenial } from "./open_flow.ts";

/** Answers a request. Resolves when the flow is over. */
export async function answerEcho({ link, log, judge }: FlowCore, request: FlowRequest): Promise<void> {
  const { address } = request.destination;
  if (!GATEWAY_ADDRESSES.includes(address)) {
    const verdict = judge.judge("icmp", request.destination);
    logDenial(log, request, verdict, verdict.allowed ? "echo" : verdict.reason);
    link.refuse(request, "unreachable");
    return;
  }
  const datagrams = link.acceptDatagrams(request);
  datagrams.onDatagram = (data) => datagrams.send(data);
  await datagrams.closed;
}
