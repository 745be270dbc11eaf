/** Passes bytes on, both ways, without looking at them. @module */
import type { ByteChannel } from "./byte_channel.ts";
import type { ByteTransform } from "./gate.ts";
import type { MessageReader } from "./message_reader.ts";

/** A channel, and the reader that may hold bytes of it. */
export interface TunnelEnd {
  readonly channel: ByteChannel;
  readonly reader: MessageReader;
}

/**
 * Passes bytes on until both sides have ended. One side may end long before the other. If one breaks off, so does the other.
 *
 * @param outbound Looks at what goes from `inner` to `outer`; its `push` may throw, which breaks the tunnel off.
 * @throws What broke it off.
 */
export async function pumpBothWays(
  inner: TunnelEnd,
  outer: TunnelEnd,
  outbound?: ByteTransform,
): Promise<void> {
  const breakOff = (error: unknown): never => {
    inner.channel.destroy();
    outer.channel.destroy();
    throw error;
  };
  await Promise.all([
    pump(inner, outer, outbound).catch(breakOff),
    pump(outer, inner, undefined).catch(breakOff),
  ]);
}

async function pump(from: TunnelEnd, to: TunnelEnd, transform: ByteTransform | undefined): Promise<void> {
  for (let piece = await from.reader.readSome(); piece !== undefined; piece = await from.reader.readSome()) {
    const passed = transform === undefined ? piece : transform.push(piece);
    if (passed.length > 0) await to.channel.write(passed);
  }
  const left = transform?.end();
  if (left !== undefined && left.length > 0) await to.channel.write(left);
  await to.channel.end();
}
