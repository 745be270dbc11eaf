/**
 * Moves bytes between a guest's connection and a socket, both ways at once: with back-pressure, and with each direction ending on
 * its own.
 *
 * @module
 */
import type { Socket } from "node:net";
import { KiB } from "../../base/bytes.ts";
import { drained } from "../../platform/stream_drain.ts";
import type { GuestConnection } from "../flow.ts";
import type { FlowEnding } from "./flow_log.ts";
import type { Metering } from "./metered.ts";

/** Bytes of one flow that are on their way to the guest, before the other end has to wait; and when it may go on. */
const PENDING_BYTES_MAX = 512 * KiB;
const PENDING_BYTES_LOW = 128 * KiB;

/** Sees what the guest sends before it is sent on. */
export interface Filter {
  /**
   * Bytes that may be sent on now; empty until that is known.
   *
   * @throws DeniedBytes to end the flow.
   */
  take(chunk: Uint8Array): Uint8Array | undefined;
  /** What is still held when the guest ends: it is sent on. */
  end(): Uint8Array | undefined;
}

/** What the guest sent is not let through. */
export class DeniedBytes extends Error {}

/** Moves bytes until both directions have ended, or one broke, or the signal fires. Both ends are closed then. Never rejects. */
export async function pump(
  guest: GuestConnection,
  socket: Socket,
  metering: Metering,
  filter?: Filter,
): Promise<FlowEnding> {
  const broken = Promise.withResolvers<FlowEnding>();
  const fail = (ending: FlowEnding) => broken.resolve(ending);
  const { signal } = metering;
  const onAbort = () => fail("stopped");
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  guest.closed.then((error) => {
    if (error !== undefined) fail("reset");
  });
  const outward = sendUpstream(guest, socket, metering, filter);
  const inward = sendToGuest(guest, socket, metering);
  const both = Promise.all([outward, inward]).then(
    (): FlowEnding => "closed",
    (error): FlowEnding => (error instanceof DeniedBytes ? "denied" : "reset"),
  );
  const ending = await Promise.race([both, broken.promise]);
  signal.removeEventListener("abort", onAbort);
  if (ending === "closed") return ending;
  guest.reset();
  socket.resetAndDestroy();
  return ending;
}

async function sendUpstream(
  guest: GuestConnection,
  socket: Socket,
  { meter, limits, signal }: Metering,
  filter: Filter | undefined,
): Promise<void> {
  const reader = guest.readable.getReader();
  const send = async (bytes: Uint8Array | undefined): Promise<void> => {
    if (bytes === undefined || bytes.length === 0) return;
    const limiter = limits().egress;
    if (limiter !== undefined) await limiter.pass(bytes.length, signal);
    meter.bytesOut += bytes.length;
    if (!socket.write(bytes)) await drained(socket);
  };
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    if (socket.destroyed) throw new Error("the other end is gone");
    await send(filter === undefined ? value : filter.take(value));
  }
  await send(filter?.end());
  socket.end();
}

function sendToGuest(
  guest: GuestConnection,
  socket: Socket,
  { meter, limits, signal }: Metering,
): Promise<void> {
  const writer = guest.writable.getWriter();
  let pendingBytes = 0;
  return new Promise((resolve, reject) => {
    let hasEnded = false;
    const write = (chunk: Uint8Array): void => {
      meter.bytesIn += chunk.length;
      pendingBytes += chunk.length;
      if (pendingBytes > PENDING_BYTES_MAX) socket.pause();
      writer.write(chunk).then(() => {
        pendingBytes -= chunk.length;
        if (pendingBytes <= PENDING_BYTES_LOW && socket.isPaused()) socket.resume();
      }, reject);
    };
    /** What waits for the limiter, one chunk after the other; `undefined` if nothing does. */
    let waiting: Promise<void> | undefined;
    const writeLimited = (chunk: Uint8Array): void => {
      const limiter = limits().ingress;
      if (limiter === undefined && waiting === undefined) return write(chunk);
      socket.pause();
      const turn = (waiting ?? Promise.resolve()).then(async () => {
        await limiter?.pass(chunk.length, signal);
        write(chunk);
        if (waiting !== turn) return;
        waiting = undefined;
        if (pendingBytes <= PENDING_BYTES_MAX) socket.resume();
      });
      waiting = turn;
      turn.catch(reject);
    };
    socket.on("data", writeLimited);
    socket.once("end", () => {
      hasEnded = true;
      Promise.resolve(waiting)
        .then(() => writer.close())
        .then(resolve, reject);
    });
    socket.once("close", () => {
      if (!hasEnded) reject(new Error("the other end broke off"));
    });
    socket.once("error", reject);
    if (socket.destroyed) reject(new Error("the other end broke off"));
  });
}
