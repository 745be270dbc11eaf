/**
 * What clients of the relay ask about the guest's network.
 *
 * @module
 */
import { encodeMessage } from "../../agent/codec.ts";
import { encodeParts } from "../../agent/message_parts.ts";
import { FrameFlag, type Message } from "../../agent/protocol.ts";
import { concatBytes, decodeUtf8, encodeUtf8, MiB } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import type { EgressReport, EgressUpdate } from "../../egress/update.ts";
import type { RelayClient } from "./relay_client.ts";

/** All rules and certificates of one sandbox, as JSON. */
const UPDATE_BYTES_MAX: number = 4 * MiB;
/** Of what went wrong. */
const PROBLEM_CHARS_MAX = 2048;

/** Puts other rules into force; rejects with what people are told. */
export interface RelayEgress {
  update(update: EgressUpdate): Promise<EgressReport>;
}

type UpdateMessage = Extract<Message, { readonly name: "networkUpdate" }>;

/** The parts of an update that have come from a client. */
const updates = new WeakMap<RelayClient, { parts: Uint8Array[]; bytes: number }>();

/** Takes a part of an update; does what the whole asks, and answers it. */
export function updateNetwork(
  egress: RelayEgress | undefined,
  client: RelayClient,
  { fields: { token, config: part }, flags }: UpdateMessage,
): void {
  const update = updates.get(client) ?? { parts: [], bytes: 0 };
  update.bytes += part.length;
  if (update.bytes <= UPDATE_BYTES_MAX) update.parts.push(part.slice());
  updates.set(client, update);
  if ((flags & FrameFlag.more) !== 0) return;
  updates.delete(client);
  const refuse = (problem: string) =>
    encodeMessage("networkUpdated", 0, {
      token,
      problem: problem.slice(0, PROBLEM_CHARS_MAX),
      config: new Uint8Array(),
    });
  const apply = async () => {
    if (egress === undefined) throw new Error("the sandbox has no network whose rules can be changed");
    if (update.bytes > UPDATE_BYTES_MAX) throw new Error(`rules of more than ${UPDATE_BYTES_MAX} bytes`);
    // From a process of the same user, which has checked it: see SandboxOptions.
    const report = await egress.update(JSON.parse(decodeUtf8(concatBytes(update.parts))) as EgressUpdate);
    const json = encodeUtf8(JSON.stringify(report));
    return encodeParts("networkUpdated", json, (config) => ({ token, problem: "", config }));
  };
  client.answerLater(
    () => apply().catch((error: unknown) => refuse(messageOf(error))),
    () => refuse("too many at once"),
  );
}
