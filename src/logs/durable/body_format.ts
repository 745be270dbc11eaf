/** What a stream of one content type consists of: bytes, or in `application/json` messages. @module */
import { concatBytes, encodeUtf8 } from "../../base/bytes.ts";
import { toText } from "../record.ts";
import type { LogEntry } from "../types.ts";

/** How entries become a stream. */
export interface BodyFormat {
  readonly contentType: string;
  /** The header that says how data stand in events; `undefined` if as text. */
  readonly eventEncoding: "base64" | undefined;
  /** The body of an answer. */
  toBody(entries: readonly LogEntry[]): Uint8Array<ArrayBuffer>;
  /** The data of one event; `undefined` if there is nothing to send. */
  toEventData(entries: readonly LogEntry[]): string | undefined;
}

/** The format of a stream of `contentType`, which in JSON has the messages that `toMessage` makes. */
export function bodyFormatOf(contentType: string, toMessage: (entry: LogEntry) => unknown): BodyFormat {
  const mediaType = contentType.split(";", 1)[0]!.trim().toLowerCase();
  if (mediaType === "application/json") return jsonFormat(contentType, toMessage);
  const isText = mediaType.startsWith("text/");
  const toBody = (entries: readonly LogEntry[]) => concatBytes(entries.map(({ data }) => data));
  return {
    contentType,
    eventEncoding: isText ? undefined : "base64",
    toBody,
    toEventData(entries) {
      const body = toBody(entries);
      if (body.length === 0) return undefined;
      return isText ? toText(body) : Buffer.from(body.buffer).toString("base64");
    },
  };
}

function jsonFormat(contentType: string, toMessage: (entry: LogEntry) => unknown): BodyFormat {
  const messagesOf = (entries: readonly LogEntry[]) =>
    entries.flatMap((entry) => {
      const json: string | undefined = JSON.stringify(toMessage(entry)); // of `undefined` it is that
      return json === undefined ? [] : [json];
    });
  return {
    contentType,
    eventEncoding: undefined,
    toBody: (entries) => encodeUtf8(`[${messagesOf(entries).join(",")}]`),
    toEventData(entries) {
      const messages = messagesOf(entries);
      return messages.length === 0 ? undefined : `[${messages.join(",")}]`;
    },
  };
}
