/**
 * Messages as payloads, driven by the table in `messages.ts`.
 *
 * @module
 */
import type { Bytes } from "../base/bytes.ts";
import { decodeFields, encodeFields } from "./fields.ts";
import { encodeFrame, type Frame } from "./frame.ts";
import { MESSAGES, type Message, type MessageFields, type MessageName, type SentFields } from "./protocol.ts";

const NAMES_BY_TYPE: ReadonlyMap<number, MessageName> = new Map(
  Object.entries(MESSAGES).map(([name, { type }]) => [type, name as MessageName]),
);

/** The frame of one message. @throws {ProtocolError} if a number does not fit its field. */
export function encodeMessage<N extends MessageName>(
  name: N,
  stream: number,
  fields: MessageFields<N>,
  flags = 0,
): Bytes {
  return encodeFrame({
    stream,
    type: MESSAGES[name].type,
    flags,
    payload: encodeFields(name, MESSAGES[name], fields),
  });
}

/** The payload of one message, which for a large `execStart` is more than one frame holds. */
export function encodePayload<N extends MessageName>(name: N, fields: SentFields<N>): Bytes {
  return encodeFields(name, MESSAGES[name], fields);
}

/**
 * The message in a frame; `undefined` if this version knows no such type.
 *
 * @throws {ProtocolError} if the payload is not what the table says.
 */
export function decodeMessage(frame: Frame): Message | undefined {
  const name = NAMES_BY_TYPE.get(frame.type);
  if (name === undefined) return undefined;
  const fields = decodeFields(name, MESSAGES[name], frame.payload);
  // The table gave each field its type: this is where its types become the compiler's.
  return { name, stream: frame.stream, flags: frame.flags, fields } as unknown as Message;
}
