/**
 * The VM host process's end of the guest's byte stream: the handshake, the control messages, and a way in and out for
 * the frames of exec streams.
 *
 * @module
 */
import { decodeMessage, encodeMessage } from "../../agent/codec.ts";
import { AgentHandshakeError } from "../../agent/errors.ts";
import { type DecodedFrame, encodeFrame, type Frame, FrameDecoder } from "../../agent/frame.ts";
import { Answers } from "../../agent/pending_answers.ts";
import {
  BootStage,
  type HoldState,
  type Message,
  type MessageFields,
  PROTOCOL_VERSION,
} from "../../agent/protocol.ts";
import type { Bytes } from "../../base/bytes.ts";
import { messageOf } from "../../base/errors.ts";
import { waitFor } from "../../base/wait.ts";
import { NetworkError } from "../../network/errors.ts";
import type { DevicePlan } from "../../network/network_plan.ts";
import type { UnixConnection } from "../../platform/unix_connection.ts";
import type { GuestConfig } from "../host_protocol.ts";

/** How long the guest may take to pause its programs, or to flush a disk's worth of writes. */
const ANSWER_TIMEOUT_MS = 60_000;

/** How long the guest may take to say what it uses: as long as its agent, which needs next to nothing to answer. */
const USAGE_TIMEOUT_MS = 10_000;

/** Token of the pings of this process's own: clients' have others. */
export const WATCH_PING = 0xffff_ffff;

/** The agent could not assemble the guest's root. */
export class GuestBootError extends Error {
  readonly stage: string;
  readonly errno: number;

  constructor({ stage, errno, message }: MessageFields<"bootFailed">) {
    const name = Object.entries(BootStage).find(([, value]) => value === stage)?.[0] ?? String(stage);
    super(`the guest's agent failed at ${name}: ${message} (errno ${errno})`);
    this.stage = name;
    this.errno = errno;
  }
}

/** The connection to the agent of one VM. */
export class AgentLink {
  /** Resolves when the connection has ended. */
  readonly closed: Promise<void>;
  /** Resolves then, too, with the reason, for people. */
  readonly ended: Promise<string>;
  /** Frames of exec streams, and answers that no one here waits for. The payload is a view: copy it to keep it. */
  onFrame: (frame: DecodedFrame) => void = () => {};
  #signsOfLife = 0;
  readonly #connection: UnixConnection;
  readonly #decoder = new FrameDecoder();
  /** Messages that come once, and are waited for. */
  readonly #expected = new Map<Message["name"], PromiseWithResolvers<Message>>();
  /** `paused` and `frozen`, `usage`, and `processes`, by the token of the question. */
  readonly #answers = new Answers<HoldState>();
  readonly #usages = new Answers<MessageFields<"usage">>();
  readonly #lists = new Answers<MessageFields<"processes">>();
  #nextToken = 1;
  /** Why no message will come any more. */
  #failure: Error | undefined;
  /** What ended the connection on this side. */
  #violation: string | undefined;

  constructor(connection: UnixConnection) {
    this.#connection = connection;
    this.closed = connection.closed;
    this.ended = connection.closed.then(() => {
      this.#fail(new AgentHandshakeError("The guest's agent hung up"));
      return this.#violation ?? "the guest's agent hung up";
    });
    connection.onData((chunk) => this.#receive(chunk));
  }

  /** Waits for the agent's first frame. */
  async hello(): Promise<MessageFields<"hello">> {
    const hello = await this.#next("hello");
    if (hello.version !== PROTOCOL_VERSION) {
      throw new AgentHandshakeError(
        `The guest's agent speaks protocol ${hello.version}, not ${PROTOCOL_VERSION}`,
      );
    }
    return hello;
  }

  /** Tells the agent to assemble the root and waits until exec works. @throws {GuestBootError} */
  async boot(guest: GuestConfig): Promise<MessageFields<"ready">> {
    const ready = this.#next("ready");
    const failed = this.#next("bootFailed").then((fields) => Promise.reject(new GuestBootError(fields)));
    this.#connection.send(encodeMessage("boot", 0, { ...guest, ...clockFields() }));
    return await Promise.race([ready, failed]);
  }

  /** Gives the guest's network interface its address. @throws {NetworkError} */
  async configureNetwork({ address, prefixBits, gateway, mtu }: DevicePlan): Promise<void> {
    const done = this.#next("netifDone");
    this.#connection.send(encodeMessage("netif", 0, { address, prefixBits, gateway, mtu }));
    const { errno, message } = await done;
    if (errno !== 0) throw new NetworkError(`The guest cannot ${message} (errno ${errno})`);
  }

  /** Gives these variables to each program that does not have them. */
  setVariables(variables: Readonly<Record<string, string>>): void {
    const pairs = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
    this.#connection.send(encodeMessage("environment", 0, { variables: pairs }));
  }

  /** Sets the guest's wall clock to the host's. */
  syncClock(): void {
    const { clockSeconds: seconds, clockNanoseconds: nanoseconds } = clockFields();
    this.#connection.send(encodeMessage("clock", 0, { seconds, nanoseconds }));
  }

  /** Runs the guest's part of a stop; resolves when everything is on disk. */
  async shutdown(graceMs: number, timeoutMs: number): Promise<MessageFields<"flushed">> {
    this.#connection.send(encodeMessage("shutdown", 0, { graceMs }));
    const action = "waiting for the guest to flush its writes";
    return await waitFor(this.#next("flushed"), { action, timeoutMs });
  }

  /** Pauses all programs, or resumes them. Rejects if there is no answer in time. */
  pause(on: boolean): Promise<HoldState> {
    return this.#hold((token) => encodeMessage("pause", 0, { token, on: on ? 1 : 0 }));
  }

  /** Flushes all writes to the upper disk and holds new ones for `leaseMs`; or lets them continue. */
  holdWrites(on: boolean, leaseMs: number): Promise<HoldState> {
    return this.#hold((token) => encodeMessage("freeze", 0, { token, on: on ? 1 : 0, leaseMs }));
  }

  /** Asks what the guest uses. The answer is the guest's word. Rejects if there is none in time. */
  usage(): Promise<MessageFields<"usage">> {
    return this.#ask(this.#usages, "waiting for the guest to say what it uses", USAGE_TIMEOUT_MS, (token) =>
      encodeMessage("metrics", 0, { token, processes: 0 }),
    );
  }

  /** Asks which programs run in the guest. The answer is the guest's word. Rejects if there is none in time. */
  processes(): Promise<MessageFields<"processes">> {
    return this.#ask(this.#lists, "waiting for the guest to list its programs", USAGE_TIMEOUT_MS, (token) =>
      encodeMessage("metrics", 0, { token, processes: 1 }),
    );
  }

  /** See `WatchedAgent`. */
  get signsOfLife(): number {
    return this.#signsOfLife;
  }

  /** Asks the guest for a sign of life. */
  ping(): void {
    this.#connection.send(encodeMessage("ping", 0, { token: WATCH_PING }));
  }

  /** Tells the guest to end the VM. */
  go(): void {
    this.#connection.send(encodeMessage("go", 0, {}));
  }

  /** Kills the sessions of a client that has left. */
  clientGone(firstStream: number, lastStream: number): void {
    this.#connection.send(encodeMessage("clientGone", 0, { firstStream, lastStream }));
  }

  /** Sends a frame of a stream of this process's own. */
  send(frame: Bytes): void {
    this.#connection.send(frame);
  }

  forward(frame: Frame): void {
    this.#connection.send(encodeFrame(frame));
  }

  /** Bytes that the guest has not taken yet. */
  get bufferedBytes(): number {
    return this.#connection.bufferedBytes;
  }

  drained(): Promise<void> {
    return this.#connection.drained();
  }

  #hold(question: (token: number) => Bytes): Promise<HoldState> {
    return this.#ask(this.#answers, "waiting for the guest to pause or resume", ANSWER_TIMEOUT_MS, question);
  }

  async #ask<T>(
    answers: Answers<T>,
    action: string,
    timeoutMs: number,
    question: (token: number) => Bytes,
  ): Promise<T> {
    const token = this.#nextToken;
    this.#nextToken = (token % 0xffff_ffff) + 1;
    if (this.#failure !== undefined) throw this.#failure;
    const answer = answers.wait(token, action, timeoutMs);
    this.#connection.send(question(token));
    return await answer;
  }

  async #next<N extends Message["name"]>(name: N): Promise<MessageFields<N>> {
    if (this.#failure !== undefined) throw this.#failure;
    const arrived = Promise.withResolvers<Message>();
    this.#expected.set(name, arrived);
    return (await arrived.promise).fields as MessageFields<N>;
  }

  /** Rejects all that wait, and those to come: the first failure counts. */
  #fail(failure: Error): void {
    this.#failure ??= failure;
    for (const { reject } of this.#expected.values()) reject(this.#failure);
    this.#expected.clear();
    for (const answers of [this.#answers, this.#usages, this.#lists]) answers.rejectAll(this.#failure);
  }

  #receive(chunk: Uint8Array): void {
    this.#signsOfLife++;
    try {
      for (const frame of this.#decoder.feed(chunk)) {
        if (frame.stream !== 0) this.onFrame(frame);
        else this.#control(frame);
      }
    } catch (error) {
      // Out of step: nothing after this can be trusted.
      this.#violation = `the guest's agent broke the protocol: ${messageOf(error)}`;
      this.#fail(error instanceof Error ? error : new Error(messageOf(error)));
      this.#connection.destroy();
    }
  }

  #control(frame: DecodedFrame): void {
    const message = decodeMessage(frame);
    if (message === undefined) return; // a later agent may say more
    if (message.name === "paused" || message.name === "frozen") {
      const { token, on, errno } = message.fields;
      return this.#answers.resolve(token, { on: on !== 0, errno });
    }
    if (message.name === "usage") return this.#usages.resolve(message.fields.token, message.fields);
    if (message.name === "processes") return this.#lists.resolve(message.fields.token, message.fields);
    const expected = this.#expected.get(message.name);
    if (expected === undefined) return this.onFrame(frame);
    this.#expected.delete(message.name);
    expected.resolve(message);
  }
}

function clockFields(): { clockSeconds: number; clockNanoseconds: number } {
  const now = Date.now();
  return { clockSeconds: Math.floor(now / 1000), clockNanoseconds: (now % 1000) * 1_000_000 };
}
