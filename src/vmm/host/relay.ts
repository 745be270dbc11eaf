/**
 * Joins clients to the guest's agent: up to {@linkcode RELAY_CLIENTS_MAX} connections on one unix socket, routed by
 * stream number.
 *
 * The relay never waits for one client on behalf of another. What a client has not read yet is bounded by the credit
 * that it gave (`protocol.ts`), so its queue here is too; one that breaks that bound is cut off.
 *
 * @module
 */

import { decodeMessage, encodeMessage } from "../../agent/codec.ts";
import { type DecodedFrame, type Frame, FrameDecoder } from "../../agent/frame.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import { PortFailure } from "../../agent/port_codes.ts";
import {
  ExecFailure,
  FrameFlag,
  MESSAGES,
  type MessageFields,
  PROTOCOL_VERSION,
  RELAY_CLIENTS_MAX,
  SESSIONS_MAX,
  STREAM_SLOT_SHIFT,
  STREAM_WINDOW_BYTES,
  type StandstillState,
  WireError,
} from "../../agent/protocol.ts";
import { MiB } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import type { UnixConnection, UnixListener } from "../../platform/unix_connection.ts";
import { listenUnix } from "../../platform/unix_socket.ts";
import type { Activity } from "./activity.ts";
import { type AgentLink, WATCH_PING } from "./agent_link.ts";
import type { LogTap } from "./log_tap.ts";

/** Every session's two output windows, and room for the frames that need no credit. */
const CLIENT_QUEUE_BYTES_MAX = SESSIONS_MAX * 2 * STREAM_WINDOW_BYTES + 16 * MiB;
/** Clients are not read while this much waits for the guest. */
const AGENT_QUEUE_BYTES_MAX = 1 * MiB;
const STREAMS_PER_SLOT = 2 ** STREAM_SLOT_SHIFT;

/** What clients can ask of the VM host process. */
export interface RelayHandlers {
  stop(graceMs: number): void;
  kill(): void;
  limits(fields: MessageFields<"limits">): void;
  drain(): void;
  /** Stops all programs, or lets them go on. */
  pause(on: boolean): Promise<StandstillState>;
  /** Holds writes to the disk back on behalf of a client, or lets them go on. */
  freeze(client: object, on: boolean, leaseMs: number): Promise<StandstillState>;
  /** A client's connection has ended. */
  left(client: object): void;
}

/** The sandbox's own part in its network. */
export interface RelayNetwork {
  /** Takes a frame of a stream that is no client's. */
  receive(frame: Frame): void;
  control(request: MessageFields<"ports">): Promise<MessageFields<"published">>;
}

interface Client {
  readonly slot: number;
  readonly connection: UnixConnection;
  readonly firstStream: number;
  readonly lastStream: number;
  highestStream: number;
  /** It broke the rules: nothing that it says is heard any more. */
  isRefused: boolean;
}

export class Relay {
  /** Set once the guest answers, where there are ports to publish. */
  network: RelayNetwork | undefined;
  readonly #clients = new Map<number, Client>();
  /** The next free stream of each slot, so that a number is not soon used by another client. */
  readonly #nextStreams = new Map<number, number>();
  readonly #pings = new Map<number, { readonly client: Client; readonly token: number }>();
  readonly #waiting = new Set<UnixConnection>();
  readonly #handlers: RelayHandlers;
  readonly #activity: Activity;
  #listener: UnixListener | undefined;
  #link: AgentLink | undefined;
  #tap: LogTap | undefined;
  #greeting: { readonly sandboxId: string; readonly bootNumber: number } | undefined;
  #lastSlot = 0;
  #nextPing = 1;
  #isHolding = false;

  /** `activity` is told of every frame that comes by. */
  constructor(handlers: RelayHandlers, activity: Activity) {
    this.#handlers = handlers;
    this.#activity = activity;
  }

  /** Starts listening: from now on this process counts as alive. Clients are greeted once the guest answers. */
  async listen(path: string): Promise<void> {
    this.#listener = await listenUnix(path, (connection) => this.#accept(connection));
  }

  /** The guest answers: serve. */
  open(
    link: AgentLink,
    tap: LogTap,
    greeting: { readonly sandboxId: string; readonly bootNumber: number },
  ): void {
    this.#link = link;
    this.#tap = tap;
    this.#greeting = greeting;
    link.onFrame = (frame) => this.#fromAgent(frame);
    for (const connection of this.#waiting) this.#greet(connection);
    this.#waiting.clear();
  }

  /** Tells every client that the state on disk is final. Their connections end with this process. */
  announceStopped(clean: boolean): void {
    for (const { connection } of this.#clients.values()) {
      connection.send(encodeMessage("stopped", 0, { clean: clean ? 1 : 0 }));
    }
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
    } else if (this.#greeting === undefined) {
      this.#waiting.add(connection);
      connection.closed.then(() => this.#waiting.delete(connection));
    } else {
      this.#greet(connection);
    }
  }

  #greet(connection: UnixConnection): void {
    const slot = this.#freeSlot();
    const base = slot * STREAMS_PER_SLOT;
    const client: Client = {
      slot,
      connection,
      firstStream: this.#nextStreams.get(slot) ?? base,
      lastStream: base + STREAMS_PER_SLOT - 1,
      highestStream: 0,
      isRefused: false,
    };
    this.#clients.set(slot, client);
    connection.closed.then(() => this.#leave(client));
    const decoder = new FrameDecoder();
    connection.onData((chunk) => {
      try {
        for (const frame of decoder.feed(chunk)) {
          if (client.isRefused) return;
          this.#fromClient(client, frame);
        }
      } catch (error) {
        this.#refuse(client, WireError.malformed, messageOf(error));
      }
    });
    connection.send(
      encodeMessage("welcome", 0, {
        version: PROTOCOL_VERSION,
        features: 0,
        firstStream: client.firstStream,
        lastStream: client.lastStream,
        bootNumber: this.#greeting?.bootNumber ?? 0,
        sandboxId: this.#greeting?.sandboxId ?? "",
      }),
    );
  }

  #fromClient(client: Client, frame: Frame): void {
    if (frame.stream === 0) return this.#control(client, frame);
    if (frame.stream < client.firstStream || frame.stream > client.lastStream) {
      return this.#refuse(client, WireError.badStream, `stream ${frame.stream} is not this client's`);
    }
    if (frame.type === MESSAGES.udpOpen.type)
      return this.#refuse(client, WireError.unknownType, "a UDP flow has no window: it is not for clients");
    if (!this.#activity.admits(frame)) return this.#refuseProgram(client, frame);
    client.highestStream = Math.max(client.highestStream, frame.stream);
    this.#tap?.observeRequest(frame);
    this.#activity.toAgent(frame);
    this.#link?.forward(frame);
    if ((this.#link?.bufferedBytes ?? 0) > AGENT_QUEUE_BYTES_MAX) this.#holdClients();
  }

  #control(client: Client, frame: Frame): void {
    const message = decodeMessage(frame);
    switch (message?.name) {
      case "stop":
        return this.#handlers.stop(message.fields.graceMs);
      case "kill":
        return this.#handlers.kill();
      case "touch":
        this.#activity.touch();
        return this.#note(client);
      case "limits":
        this.#handlers.limits(message.fields);
        return this.#note(client);
      case "drain":
        this.#handlers.drain(); // an end that begins at once still leaves time for the answer
        return this.#note(client);
      case "ping":
        return this.#ping(client, message.fields.token);
      case "ports":
        return void this.#network(message.fields).then((answer) =>
          client.connection.send(encodeMessage("published", 0, answer)),
        );
      case "pause": {
        const { token, on } = message.fields;
        return this.#answerLater(client, "paused", token, this.#handlers.pause(on === 1));
      }
      case "freeze": {
        const { token, on, leaseMs } = message.fields;
        return this.#answerLater(client, "frozen", token, this.#handlers.freeze(client, on === 1, leaseMs));
      }
      default:
        client.connection.send(
          encodeMessage("error", 0, {
            code: WireError.unknownType,
            offendingType: frame.type,
            message: `type ${frame.type} is not for the VM host process`,
          }),
        );
    }
  }

  #answerLater(
    { connection }: Client,
    name: "paused" | "frozen",
    token: number,
    answer: Promise<StandstillState>,
  ): void {
    answer
      .catch((error: unknown) => {
        console.error(`${name}: ${messageOf(error)}`); // into the diagnostics
        return { on: false, errno: GuestErrno.ETIMEDOUT }; // the guest did not say, or it cannot be written down
      })
      .then(({ on, errno }) => connection.send(encodeMessage(name, 0, { token, on: on ? 1 : 0, errno })));
  }

  #network(fields: MessageFields<"ports">): Promise<MessageFields<"published">> {
    const failure = PortFailure.other;
    const refusal = { token: fields.token, failure, message: "the sandbox has no ports", ports: [] };
    return this.network?.control(fields) ?? Promise.resolve(refusal);
  }

  #note({ connection }: Client): void {
    connection.send(encodeMessage("noted", 0, { activity: this.#activity.sequence }));
  }

  /** Answers an `execStart` in the guest's place. */
  #refuseProgram({ connection }: Client, { stream, flags }: Frame): void {
    if ((flags & FrameFlag.more) !== 0) return; // it goes on in the next frame
    const reason = { kind: ExecFailure.shuttingDown, errno: 0, message: "the sandbox takes no new programs" };
    connection.send(encodeMessage("execFailed", stream, reason));
    connection.send(encodeMessage("closed", stream, {}));
  }

  /** A ping goes on to the agent, under a number that leads its answer back. */
  #ping(client: Client, token: number): void {
    const number = this.#nextPing++ % WATCH_PING;
    this.#pings.set(number, { client, token });
    if (this.#pings.size > RELAY_CLIENTS_MAX) this.#pings.delete(this.#pings.keys().next().value ?? 0);
    const payload = encodeMessage("ping", 0, { token: number });
    for (const frame of new FrameDecoder().feed(payload)) this.#link?.forward(frame);
  }

  #fromAgent(frame: DecodedFrame): void {
    if (frame.stream === 0) return this.#answer(frame);
    if (frame.stream < STREAMS_PER_SLOT) return this.network?.receive(frame);
    this.#tap?.observe(frame);
    this.#activity.fromAgent(frame);
    const client = this.#clients.get(Math.floor(frame.stream / STREAMS_PER_SLOT));
    if (client === undefined || frame.stream < client.firstStream || isForLogOnly(frame)) return;
    client.connection.send(frame.bytes.slice());
    if (client.connection.bufferedBytes > CLIENT_QUEUE_BYTES_MAX) client.connection.destroy();
  }

  #answer(frame: Frame): void {
    const message = decodeMessage(frame);
    if (message?.name !== "pong") return;
    const ping = this.#pings.get(message.fields.token);
    if (ping === undefined) return;
    this.#pings.delete(message.fields.token);
    ping.client.connection.send(encodeMessage("pong", 0, { token: ping.token }));
  }

  #leave(client: Client): void {
    this.#clients.delete(client.slot);
    this.#handlers.left(client);
    if (client.highestStream === 0) return;
    this.#activity.clientGone(client.firstStream, client.highestStream);
    const next = client.highestStream + 1;
    const isUsedUp = next + SESSIONS_MAX > client.lastStream; // of so few the next client would make nothing
    this.#nextStreams.set(client.slot, isUsedUp ? client.slot * STREAMS_PER_SLOT : next);
    this.#link?.clientGone(client.firstStream, client.highestStream);
  }

  #refuse(client: Client, code: number, message: string): void {
    if (client.isRefused) return;
    client.isRefused = true;
    client.connection.send(encodeMessage("error", 0, { code, offendingType: 0, message }));
    client.connection.end();
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

  /** The guest takes no more for now: let every client wait. */
  #holdClients(): void {
    if (this.#isHolding) return;
    this.#isHolding = true;
    for (const { connection } of this.#clients.values()) connection.pause();
    this.#link?.drained().then(() => {
      this.#isHolding = false;
      for (const { connection } of this.#clients.values()) connection.resume();
    });
  }
}

/** A client that has closed a stream still learns when the process is gone. */
function isForLogOnly({ flags, type }: Frame): boolean {
  return (flags & FrameFlag.logOnly) !== 0 && type !== MESSAGES.exited.type;
}
