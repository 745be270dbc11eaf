/**
 * Joins clients to the guest's agent: up to {@linkcode RELAY_CLIENTS_MAX} connections on one unix socket, routed by
 * stream number. No client waits because another one is slow; see `relay_client.ts`.
 *
 * @module
 */
import { decodeMessage, encodeMessage } from "../../agent/codec.ts";
import type { DecodedFrame, Frame } from "../../agent/frame.ts";
import {
  ExecFailure,
  FrameFlag,
  type HoldState,
  MESSAGES,
  type MessageFields,
  PROTOCOL_VERSION,
  RELAY_CLIENTS_MAX,
  SESSIONS_MAX,
  STREAM_SLOT_SHIFT,
  WireError,
} from "../../agent/protocol.ts";
import { MiB } from "../../base/bytes.ts";
import type { UnixConnection, UnixListener } from "../../platform/unix_connection.ts";
import { listenUnix } from "../../platform/unix_socket.ts";
import type { Activity } from "./activity.ts";
import { type AgentLink, WATCH_PING } from "./agent_link.ts";
import type { Jobs } from "./jobs.ts";
import type { LogTap } from "./log_tap.ts";
import type { Measurement } from "./metrics.ts";
import { answerHold, answerMetrics, changePorts, refusedPorts } from "./relay_answers.ts";
import { RelayClient } from "./relay_client.ts";
import { type RelayEgress, takeNetworkMessage } from "./relay_egress.ts";
import { announceJob, attachJob, handedOver, signalJob } from "./relay_jobs.ts";
import { changeMounts, type RelayMounts } from "./relay_mounts.ts";

/** A client that sends something to the guest waits while this much does. */
const AGENT_QUEUE_BYTES_MAX = 1 * MiB;
const STREAMS_PER_SLOT = 2 ** STREAM_SLOT_SHIFT;

/** What clients can ask of the VM host process. */
export interface RelayHandlers {
  stop(graceMs: number): void;
  kill(): void;
  limits(fields: MessageFields<"limits">): void;
  drain(): void;
  /** Pauses all programs, or resumes them. */
  pause(on: boolean): Promise<HoldState>;
  /** Holds writes to the disk on behalf of a client, or lets them continue. */
  holdWrites(client: object, on: boolean, leaseMs: number): Promise<HoldState>;
  /** Says what the sandbox uses. */
  measure(): Promise<Measurement>;
  /** Lists the programs in the guest. */
  processes(): Promise<Omit<MessageFields<"processes">, "token">>;
  /** A client's connection has ended. */
  left(client: object): void;
}

/** The sandbox's own part in its network. */
export interface RelayNetwork {
  /** Takes a frame of a stream that is no client's. */
  receive(frame: Frame): void;
  control(request: MessageFields<"ports">): Promise<MessageFields<"published">>;
}

/** What the relay serves clients with. */
export interface RelayService {
  readonly link: AgentLink;
  /** Sees every frame that goes by. */
  readonly activity: Activity;
  readonly tap: LogTap;
  readonly jobs: Jobs;
  readonly handlers: RelayHandlers;
  readonly network?: RelayNetwork | undefined;
  readonly mounts?: RelayMounts | undefined;
  /** What decides about the guest's connections. */
  readonly egress?: RelayEgress | undefined;
  readonly sandboxId: string;
  readonly bootNumber: number;
}

export class Relay {
  readonly #clients = new Map<number, RelayClient>();
  /** The next free stream of each slot, so that a number is not soon used by another client. */
  readonly #nextStreams = new Map<number, number>();
  /** Which client sent a ping, by the number under which it went on to the guest. */
  readonly #pings = new Map<number, RelayClient>();
  /** Connections that came while the guest booted. Nothing of what they send is read. */
  readonly #waiting = new Set<UnixConnection>();
  #listener: UnixListener | undefined;
  #service: RelayService | undefined;
  #lastSlot = 0;
  #nextPing = 1;

  /** Listens at `path`: from now on this process counts as alive. Clients wait until {@linkcode serve}. */
  static async listen(path: string): Promise<Relay> {
    const relay = new Relay();
    relay.#listener = await listenUnix(path, (connection) => relay.#accept(connection));
    return relay;
  }

  private constructor() {}

  /** Greets one client before all others, which go on waiting for {@linkcode serve}. */
  admit(service: RelayService, connection: UnixConnection): void {
    service.link.onFrame = (frame) => this.#fromAgent(service, frame);
    this.#greet(service, connection);
  }

  /** The guest answers: greets the clients that wait, and those to come. */
  serve(service: RelayService): void {
    this.#service = service;
    service.link.onFrame = (frame) => this.#fromAgent(service, frame);
    for (const connection of this.#waiting) this.#greet(service, connection);
    this.#waiting.clear();
  }

  /** Tells every client that the state on disk is final. Their connections end with this process. */
  announceStopped(clean: boolean): void {
    for (const client of this.#clients.values())
      client.send(encodeMessage("stopped", 0, { clean: clean ? 1 : 0 }));
  }

  /** Tells every client why the sandbox crashed. */
  announceCrashed(reason: string): void {
    const message = { code: WireError.crashed, offendingType: 0, message: reason };
    for (const client of this.#clients.values()) client.send(encodeMessage("error", 0, message));
  }

  /** Resolves when every client has read what it was sent. */
  async drained(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.drained()));
  }

  /** Stops listening. */
  async close(): Promise<void> {
    await this.#listener?.close();
  }

  #accept(connection: UnixConnection): void {
    if (this.#clients.size + this.#waiting.size >= RELAY_CLIENTS_MAX) {
      connection.send(
        encodeMessage("error", 0, {
          code: WireError.tooManyClients,
          offendingType: 0,
          message: `${RELAY_CLIENTS_MAX} clients are connected already`,
        }),
      );
      connection.end();
    } else if (this.#service === undefined) {
      this.#waiting.add(connection);
      connection.closed.then(() => this.#waiting.delete(connection));
    } else {
      this.#greet(this.#service, connection);
    }
  }

  #greet(service: RelayService, connection: UnixConnection): void {
    const slot = this.#freeSlot();
    const base = slot * STREAMS_PER_SLOT;
    const firstStream = this.#nextStreams.get(slot) ?? base;
    const streams = { slot, firstStream, lastStream: base + STREAMS_PER_SLOT - 1 };
    const client: RelayClient = new RelayClient(connection, streams, (frame) =>
      this.#fromClient(service, client, frame),
    );
    this.#clients.set(slot, client);
    client.closed.then(() => this.#leave(service, client));
    client.send(
      encodeMessage("welcome", 0, {
        version: PROTOCOL_VERSION,
        features: 0,
        firstStream: client.firstStream,
        lastStream: client.lastStream,
        bootNumber: service.bootNumber,
        sandboxId: service.sandboxId,
      }),
    );
  }

  /** Takes a frame; returns what to wait for if the guest has no room for it. */
  #fromClient(service: RelayService, client: RelayClient, frame: Frame): Promise<void> | undefined {
    if (frame.stream === 0) return this.#control(service, client, frame);
    if (frame.stream < client.firstStream || frame.stream > client.lastStream) {
      client.refuse(WireError.badStream, `stream ${frame.stream} is not this client's`);
    } else if (frame.type === MESSAGES.udpOpen.type) {
      client.refuse(WireError.unknownType, "a UDP flow has no window: it is not for clients");
    } else if (frame.type === MESSAGES.execAdopt.type) {
      client.refuse(WireError.unknownType, "a client asks for a job by its id");
    } else if (service.activity.admits(frame)) {
      const room = roomFor(service.link);
      if (room !== undefined) return room;
      client.highestStream = Math.max(client.highestStream, frame.stream);
      service.tap.observeRequest(frame);
      service.jobs.toAgent(frame);
      service.activity.toAgent(frame);
      service.link.forward(frame);
    } else {
      this.#refuseProgram(service, client, frame);
    }
    return undefined;
  }

  #control(service: RelayService, client: RelayClient, frame: Frame): Promise<void> | undefined {
    const { activity, handlers } = service;
    const message = decodeMessage(frame);
    switch (message?.name) {
      case "stop":
        handlers.stop(message.fields.graceMs);
        break;
      case "kill":
        handlers.kill();
        break;
      case "touch":
        activity.touch();
        note(client, activity);
        break;
      case "limits":
        handlers.limits(message.fields);
        note(client, activity);
        break;
      case "drain":
        handlers.drain(); // an end that begins at once still leaves time for the answer
        note(client, activity);
        break;
      case "ping":
        return this.#ping(service.link, client, message.fields.token);
      case "mountAdd":
      case "mountRemove":
        changeMounts(service.mounts, client, message);
        break;
      case "networkUpdate":
      case "networkReport":
        takeNetworkMessage(service.egress, client, message);
        break;
      case "ports": {
        const { fields } = message;
        const answer = async () => encodeMessage("published", 0, await changePorts(service.network, fields));
        client.answerLater(answer, () =>
          encodeMessage("published", 0, refusedPorts(fields.token, "too many")),
        );
        break;
      }
      case "jobStart":
        announceJob(service, client, message.fields);
        break;
      case "jobSignal":
        signalJob(service, client, message.fields);
        break;
      case "jobAttach":
        attachJob(service, client, message.fields);
        break;
      case "pause": {
        const { token, on } = message.fields;
        answerHold(client, "paused", token, () => handlers.pause(on === 1));
        break;
      }
      case "freeze": {
        const { token, on, leaseMs } = message.fields;
        answerHold(client, "frozen", token, () => handlers.holdWrites(client, on === 1, leaseMs));
        break;
      }
      case "metrics":
        answerMetrics(client, handlers, message.fields);
        break;
      default:
        client.answer(
          encodeMessage("error", 0, {
            code: WireError.unknownType,
            offendingType: frame.type,
            message: `type ${frame.type} is not for the VM host process`,
          }),
        );
    }
    return undefined;
  }

  /** Answers an `execStart` in the guest's place. */
  #refuseProgram({ jobs }: RelayService, client: RelayClient, { stream, flags }: Frame): void {
    if ((flags & FrameFlag.more) !== 0) return; // it goes on in the next frame
    jobs.refused(stream);
    const reason = { kind: ExecFailure.shuttingDown, errno: 0, message: "the sandbox takes no new programs" };
    client.answer(encodeMessage("execFailed", stream, reason));
    client.answer(encodeMessage("closed", stream, {}));
  }

  /** Sends a ping on to the agent, under a number that leads its answer back. */
  #ping(link: AgentLink, client: RelayClient, token: number): Promise<void> | undefined {
    const room = roomFor(link);
    if (room !== undefined) return room;
    const number = this.#nextPing++ % WATCH_PING;
    this.#pings.set(number, client);
    const replaced = client.addPing(number, token);
    if (replaced !== undefined) this.#pings.delete(replaced);
    link.send(encodeMessage("ping", 0, { token: number }));
    return undefined;
  }

  #fromAgent(service: RelayService, frame: DecodedFrame): void {
    const { network, tap, jobs, activity } = service;
    if (frame.stream === 0) return this.#answer(frame);
    if (frame.stream < STREAMS_PER_SLOT) return network?.receive(frame);
    const client = this.#clients.get(Math.floor(frame.stream / STREAMS_PER_SLOT));
    if (frame.type === MESSAGES.adopted.type) handedOver(service, client, frame.stream);
    tap.observe(frame);
    jobs.fromAgent(frame);
    activity.fromAgent(frame);
    if (client === undefined || frame.stream < client.firstStream || isForLogOnly(frame)) return;
    client.send(frame.bytes.slice());
  }

  #answer(frame: Frame): void {
    const message = decodeMessage(frame);
    if (message?.name !== "pong") return;
    const number = message.fields.token;
    const client = this.#pings.get(number);
    const token = client?.pings.get(number);
    if (client === undefined || token === undefined) return;
    this.#pings.delete(number);
    client.pings.delete(number);
    client.answer(encodeMessage("pong", 0, { token }));
  }

  #leave({ handlers, activity, jobs, link, egress }: RelayService, client: RelayClient): void {
    this.#clients.delete(client.slot);
    for (const number of client.pings.keys()) this.#pings.delete(number);
    handlers.left(client);
    egress?.left?.(client);
    if (client.highestStream === 0) return;
    activity.clientGone(client.firstStream, client.highestStream);
    jobs.clientGone(client.firstStream, client.highestStream);
    const next = client.highestStream + 1;
    const isUsedUp = next + SESSIONS_MAX > client.lastStream; // too few for the next client
    this.#nextStreams.set(client.slot, isUsedUp ? client.slot * STREAMS_PER_SLOT : next);
    link.clientGone(client.firstStream, client.highestStream);
  }

  /** Slots are taken in turn, so that a number comes back as late as possible. */
  #freeSlot(): number {
    for (let step = 1; step <= RELAY_CLIENTS_MAX; step++) {
      const slot = ((this.#lastSlot + step - 1) % RELAY_CLIENTS_MAX) + 1;
      if (this.#clients.has(slot)) continue;
      this.#lastSlot = slot;
      return slot;
    }
    throw new Error(`More than ${RELAY_CLIENTS_MAX} clients`); // #accept has counted
  }
}

/** What to wait for before more is sent to the guest; `undefined` while it has room. */
function roomFor(link: AgentLink): Promise<void> | undefined {
  return link.bufferedBytes > AGENT_QUEUE_BYTES_MAX ? link.drained() : undefined;
}

function note(client: RelayClient, activity: Activity): void {
  client.answer(encodeMessage("noted", 0, { activity: activity.sequence }));
}

/** A client that has closed a stream still learns when the process is gone. */
function isForLogOnly({ flags, type }: Frame): boolean {
  return (flags & FrameFlag.logOnly) !== 0 && type !== MESSAGES.exited.type;
}
