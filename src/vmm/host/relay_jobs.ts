/**
 * What clients of the relay ask about jobs. A client names a job by its id; only here is it known under which number the guest
 * has it.
 *
 * @module
 */
import { encodeMessage } from "../../agent/codec.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import { ExecFailure, JobFailure, type MessageFields, WireError } from "../../agent/protocol.ts";
import type { Activity } from "./activity.ts";
import type { AgentLink } from "./agent_link.ts";
import type { Jobs } from "./jobs.ts";
import type { LogTap } from "./log_tap.ts";
import type { RelayClient } from "./relay_client.ts";

/** Of Linux, those of real time included. */
const SIGNALS_MAX = 64;

/** The parts that take part in a request about a job. */
interface JobService {
  readonly link: AgentLink;
  readonly activity: Activity;
  readonly tap: LogTap;
  readonly jobs: Jobs;
}

/** Notes a job whose program the client is about to start. */
export function announceJob(
  { jobs }: JobService,
  client: RelayClient,
  fields: MessageFields<"jobStart">,
): void {
  if (!takeNew(client, fields.target)) return;
  const { token } = fields;
  const announced = jobs.announce(fields);
  if (!(announced instanceof Promise))
    return client.answer(encodeMessage("jobAnswer", 0, { token, ...announced }));
  client.answerLater(
    async () => encodeMessage("jobAnswer", 0, { token, ...(await announced) }),
    () =>
      encodeMessage("jobAnswer", 0, {
        token,
        failure: JobFailure.tooMany,
        job: "",
        message: "too many at once",
      }),
  );
}

/** Passes a signal on to a job, wherever it is. */
export function signalJob(
  { jobs, link, activity }: JobService,
  client: RelayClient,
  { token, job, signal, scope }: MessageFields<"jobSignal">,
): void {
  if (signal < 1 || signal > SIGNALS_MAX || scope > 1)
    // the guest would refuse it to who is attached
    return client.refuse(WireError.malformed, `there is no signal ${signal} of scope ${scope}`);
  const stream = jobs.streamOf(job);
  if (stream !== undefined) {
    activity.touch();
    link.send(encodeMessage("signal", stream, { signal, scope }));
  }
  const failure = stream === undefined ? JobFailure.notRunning : JobFailure.none;
  client.answer(encodeMessage("jobAnswer", 0, { token, failure, job, message: "" }));
}

/** Has the guest hand a job over to a new stream of the client. */
export function attachJob(
  { jobs, link, activity, tap }: JobService,
  client: RelayClient,
  { target, job }: MessageFields<"jobAttach">,
): void {
  if (!takeNew(client, target)) return;
  const source = jobs.handOver(job, target);
  if (source === undefined) {
    const reason = { kind: ExecFailure.notFound, errno: GuestErrno.ESRCH, message: "the job does not run" };
    client.answer(encodeMessage("execFailed", target, reason));
    client.answer(encodeMessage("closed", target, {}));
    return;
  }
  activity.touch();
  tap.adopting(source, target);
  link.send(encodeMessage("execAdopt", target, { source }));
}

/** The guest has handed a job over to stream `target`: what comes from now on is its new client's. */
export function handedOver(
  { jobs, activity }: JobService,
  client: RelayClient | undefined,
  target: number,
): void {
  const handover = jobs.handedOver(target);
  if (handover === undefined) return;
  activity.adopted(handover.source, target);
  const { generation, offsetBytes } = handover.position ?? { generation: 0, offsetBytes: 0 };
  if (handover.screen !== "")
    client?.send(encodeMessage("jobScreen", target, { sequences: handover.screen }));
  client?.send(encodeMessage("jobAttached", target, { generation, offsetBytes }));
}

/** Whether a number is the client's, and was never used. It counts as used then; otherwise the client is cut off. */
function takeNew(client: RelayClient, stream: number): boolean {
  const isNew = stream > client.highestStream && stream >= client.firstStream && stream <= client.lastStream;
  if (isNew) client.highestStream = stream;
  else client.refuse(WireError.badStream, `stream ${stream} is not a new one of this client's`);
  return isNew;
}
