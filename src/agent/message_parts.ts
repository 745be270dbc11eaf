/**
 * Messages of stream 0 that are longer than a frame. They come in parts, and all but the last have the flag `more`.
 *
 * @module
 */
import { type Bytes, concatBytes } from "../base/bytes.ts";
import { encodeMessage } from "./codec.ts";
import { FRAME_PAYLOAD_BYTES_MAX, FrameFlag, type MessageFields, type MessageName } from "./protocol.ts";

/** Room for the fields beside the part. */
const OTHER_FIELDS_BYTES = 64;
const PART_BYTES = FRAME_PAYLOAD_BYTES_MAX - OTHER_FIELDS_BYTES;

/** The frames of a message whose last field is `data`. @param fields The fields of a part; the others take few bytes. */
export function encodeParts<N extends MessageName>(
  name: N,
  data: Bytes,
  fields: (part: Bytes) => MessageFields<N>,
): Bytes {
  const frames: Bytes[] = [];
  for (let offset = 0; offset === 0 || offset < data.length; offset += PART_BYTES) {
    const end = offset + PART_BYTES;
    frames.push(
      encodeMessage(name, 0, fields(data.subarray(offset, end)), end < data.length ? FrameFlag.more : 0),
    );
  }
  return concatBytes(frames);
}
