/**
 * Answers of the relay that take time: holds of programs and of writes, measurements, changes of ports.
 *
 * @module
 */
import { encodeMessage } from "../../agent/codec.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import { PortFailure } from "../../agent/port_codes.ts";
import type { HoldState, MessageFields } from "../../agent/protocol.ts";
import { messageOf } from "../../base/errors.ts";
import { type Measurement, noProcesses, unmeasured } from "./metrics.ts";
import type { RelayHandlers, RelayNetwork } from "./relay.ts";
import type { RelayClient } from "./relay_client.ts";

export function answerHold(
  client: RelayClient,
  name: "paused" | "frozen",
  token: number,
  hold: () => Promise<HoldState>,
): void {
  const encode = ({ on, errno }: HoldState) => encodeMessage(name, 0, { token, on: on ? 1 : 0, errno });
  const failed = (error: unknown) => {
    console.error(`${name}: ${messageOf(error)}`); // into the diagnostics
    return { on: false, errno: GuestErrno.ETIMEDOUT }; // the guest did not answer, or it cannot be written down
  };
  client.answerLater(
    async () => encode(await hold().catch(failed)),
    () => encode({ on: false, errno: GuestErrno.EBUSY }),
  );
}

export function answerMetrics(
  client: RelayClient,
  handlers: RelayHandlers,
  { token, processes }: MessageFields<"metrics">,
): void {
  type Listing = Omit<MessageFields<"processes">, "token">;
  const list = (fields: Listing) => encodeMessage("processes", 0, { ...fields, token });
  const measured = (fields: Measurement) => encodeMessage("measured", 0, { ...fields, token });
  if (processes === 1)
    client.answerLater(
      async () => list(await handlers.processes()),
      () => list(noProcesses(GuestErrno.EBUSY)),
    );
  else
    client.answerLater(
      async () => measured(await handlers.measure()),
      () => measured(unmeasured(GuestErrno.EBUSY, "too many questions at a time")),
    );
}

export function changePorts(
  network: RelayNetwork | undefined,
  fields: MessageFields<"ports">,
): Promise<MessageFields<"published">> {
  return network?.control(fields) ?? Promise.resolve(refusedPorts(fields.token, "the sandbox has no ports"));
}

export function refusedPorts(token: number, message: string): MessageFields<"published"> {
  return { token, failure: PortFailure.other, message, ports: [] };
}
