/**
 * What clients of the relay ask and tell about the guest's network.
 *
 * @module
 */
import { encodeMessage } from "../../agent/codec.ts";
import { encodeParts } from "../../agent/message_parts.ts";
import { FrameFlag, type Message } from "../../agent/protocol.ts";
import { type Bytes, concatBytes, decodeUtf8, encodeUtf8, MiB } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import type { ServerReport } from "../../egress/server_report.ts";
import type { EgressReport, EgressUpdate } from "../../egress/update.ts";
import type { RelayClient } from "./relay_client.ts";

/** All rules and certificates of one sandbox, or a batch of decisions about flows, as JSON. */
const JSON_BYTES_MAX: number = 4 * MiB;
/** Of the text about a problem. */
const PROBLEM_CHARS_MAX = 2048;

/** Puts other rules into force; rejects with what people are told. */
export interface RelayEgress {
  update(update: EgressUpdate): Promise<EgressReport>;
  /** Takes the reports of a client that carries the connections itself; `undefined` if none does. Throws what the client is told. */
  readonly report?: ((client: object, report: ServerReport) => void) | undefined;
  /** A client's connection has ended. */
  readonly left?: ((client: object) => void) | undefined;
}

type NetworkMessage = Extract<Message, { readonly name: "networkUpdate" | "networkReport" }>;

/** The parts of a message that have come from a client. */
const arriving = new WeakMap<RelayClient, { readonly parts: Uint8Array[]; bytes: number }>();

/** Takes a part of a message; does what the whole asks, and answers it. */
export function takeNetworkMessage(
  egress: RelayEgress | undefined,
  client: RelayClient,
  message: NetworkMessage,
): void {
  const { token } = message.fields;
  const part = message.name === "networkUpdate" ? message.fields.config : message.fields.report;
  const whole = arriving.get(client) ?? { parts: [], bytes: 0 };
  whole.bytes += part.length;
  if (whole.bytes <= JSON_BYTES_MAX) whole.parts.push(part.slice());
  arriving.set(client, whole);
  if ((message.flags & FrameFlag.more) !== 0) return;
  arriving.delete(client);
  const answer = (problem: string) =>
    encodeMessage("networkUpdated", 0, {
      token,
      problem: problem.slice(0, PROBLEM_CHARS_MAX),
      config: new Uint8Array(),
    });
  const apply = async (): Promise<Bytes> => {
    if (egress === undefined) throw new Error("the sandbox has no network whose rules can be changed");
    if (whole.bytes > JSON_BYTES_MAX) throw new Error(`more than ${JSON_BYTES_MAX} bytes`);
    // From a process of the same user, which has checked it: see SandboxOptions.
    const given: unknown = JSON.parse(decodeUtf8(concatBytes(whole.parts)));
    if (message.name === "networkReport") {
      if (egress.report === undefined) throw new Error("the VM host process carries the connections");
      egress.report(client, given as ServerReport);
      return answer("");
    }
    const report = await egress.update(given as EgressUpdate);
    const json = encodeUtf8(JSON.stringify(report));
    return encodeParts("networkUpdated", json, (config) => ({ token, problem: "", config }));
  };
  client.answerLater(
    () => apply().catch((error: unknown) => answer(messageOf(error))),
    () => answer("too many at once"),
  );
}
