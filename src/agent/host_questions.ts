/**
 * What a client asks the VM host process, and is answered: the sandbox as a whole, not one of its programs.
 *
 * @module
 */
import { type Bytes, concatBytes, decodeUtf8, encodeUtf8 } from "../base/bytes.ts";
import { MicrosandboxError } from "../base/errors.ts";
import { encodeMessage } from "./codec.ts";
import { MountFailedError } from "./errors.ts";
import { encodeParts } from "./message_parts.ts";
import { Answers } from "./pending_answers.ts";
import { FrameFlag, type HoldState, type Message, type MessageFields, TimeLimit } from "./protocol.ts";

/** How long the VM host process may take for an answer that it gives alone. */
const ANSWER_TIMEOUT_MS = 30_000;
/** It gives the guest a minute to stop its programs; others may have asked before. */
const PAUSE_TIMEOUT_MS = 120_000;
/** Others may be copying the disk, one after the other. */
const FREEZE_TIMEOUT_MS = 600_000;
/** Longer than the host process gives the guest. */
const MOUNT_TIMEOUT_MS = 90_000;

export abstract class HostQuestions {
  /** By the token of the question. */
  readonly #standstills = new Answers<HoldState>();
  readonly #portAnswers = new Answers<MessageFields<"published">>();
  readonly #measurements = new Answers<MessageFields<"measured">>();
  readonly #processLists = new Answers<MessageFields<"processes">>();
  readonly #mountAnswers = new Answers<string>();
  readonly #networkAnswers = new Answers<string>();
  /** What has come of their answers. */
  readonly #networkParts = new Map<number, Uint8Array[]>();
  /** These have no token: the answers come in the order of the questions. */
  readonly #notes = new Answers<number>();
  #notesAsked = 0;
  #notesAnswered = 0;
  #nextToken = 1;

  /** Sends a question whose `answer` is waited for already. */
  protected abstract answered<T>(answer: Promise<T>, question: Bytes): Promise<T>;

  /** Counts as activity of the sandbox; resolves with how many activities there have been. */
  touch(): Promise<number> {
    return this.#noted(encodeMessage("touch", 0, {}));
  }

  /** Sets the time limits that are given, in milliseconds from now on; 0 is none. */
  async setLimits(limits: {
    readonly maxDurationMs?: number | undefined;
    readonly idleTimeoutMs?: number | undefined;
  }): Promise<void> {
    const which =
      (limits.maxDurationMs === undefined ? 0 : TimeLimit.maxDuration) |
      (limits.idleTimeoutMs === undefined ? 0 : TimeLimit.idleTimeout);
    const { maxDurationMs = 0, idleTimeoutMs = 0 } = limits;
    await this.#noted(encodeMessage("limits", 0, { which, maxDurationMs, idleTimeoutMs }));
  }

  /** Has the sandbox refuse new programs, and stop once none runs any more. Resolves when that is in force. */
  async drain(): Promise<void> {
    await this.#noted(encodeMessage("drain", 0, {}));
  }

  /** Stops all programs of the sandbox where they are, or lets them go on. */
  pause(on: boolean): Promise<HoldState> {
    return this.#standstill(PAUSE_TIMEOUT_MS, (token) =>
      encodeMessage("pause", 0, { token, on: on ? 1 : 0 }),
    );
  }

  /**
   * Has everything written to the sandbox's disk and new writes held back, for `leaseMs` unless asked again, or lets them
   * go on. Of two connections that ask, one waits for the other.
   */
  freeze(on: boolean, leaseMs: number): Promise<HoldState> {
    return this.#standstill(FREEZE_TIMEOUT_MS, (token) =>
      encodeMessage("freeze", 0, { token, on: on ? 1 : 0, leaseMs }),
    );
  }

  /** Has the host process list, add or remove published ports. */
  async changePorts(change: Omit<MessageFields<"ports">, "token">): Promise<MessageFields<"published">> {
    const token = this.#nextToken++;
    const answer = this.#portAnswers.wait(
      token,
      "waiting for the VM host process to answer",
      ANSWER_TIMEOUT_MS,
    );
    return await this.answered(answer, encodeMessage("ports", 0, { ...change, token }));
  }

  /** Has the host process mount a directory of its machine, or a file system in memory. @throws {MountFailedError} */
  async addMount(mount: Omit<MessageFields<"mountAdd">, "token">): Promise<void> {
    await this.#changeMounts("mount", mount.target, (token) =>
      encodeMessage("mountAdd", 0, { ...mount, token }),
    );
  }

  /** Has the host process unmount what it mounted. @throws {MountFailedError} */
  async removeMount(target: string): Promise<void> {
    await this.#changeMounts("unmount", target, (token) =>
      encodeMessage("mountRemove", 0, { target, token }),
    );
  }

  async #changeMounts(
    action: "mount" | "unmount",
    target: string,
    request: (token: number) => Bytes,
  ): Promise<void> {
    const token = this.#nextToken++;
    const answer = this.#mountAnswers.wait(token, `waiting for the mount at ${target}`, MOUNT_TIMEOUT_MS);
    const problem = await this.answered(answer, request(token));
    if (problem !== "") throw new MountFailedError(target, 0, problem, action);
  }

  /**
   * Makes the host process change the rules for the guest's network. Takes an `EgressUpdate` as plain JSON data. An empty one changes
   * nothing. Resolves with the JSON of what is in force, an `EgressReport`.
   *
   * @throws {MicrosandboxError} of code `network` if the rules cannot be changed, or the sandbox has no such network.
   */
  async updateNetwork(update: object): Promise<string> {
    const json = encodeUtf8(JSON.stringify(update));
    return await this.#askNetwork("change", (token) =>
      encodeParts("networkUpdate", json, (config) => ({ token, config })),
    );
  }

  /**
   * Tells the host process about the guest's network, which this client carries: a `ServerReport`, as JSON can hold it. Resolves
   * when it has been noted.
   *
   * @throws {MicrosandboxError} of code `network` if another client carries it.
   */
  async reportNetwork(report: object): Promise<void> {
    const json = encodeUtf8(JSON.stringify(report));
    await this.#askNetwork("carry", (token) =>
      encodeParts("networkReport", json, (part) => ({ token, report: part })),
    );
  }

  async #askNetwork(action: string, question: (token: number) => Bytes): Promise<string> {
    const token = this.#nextToken++;
    const parts: Uint8Array[] = [];
    this.#networkParts.set(token, parts);
    try {
      const answer = this.#networkAnswers.wait(
        token,
        "waiting for the network to take its rules",
        ANSWER_TIMEOUT_MS,
      );
      const problem = await this.answered(answer, question(token));
      if (problem !== "") throw new MicrosandboxError("network", `Cannot ${action} the network: ${problem}`);
      return decodeUtf8(concatBytes(parts));
    } finally {
      this.#networkParts.delete(token);
    }
  }

  /** Asks the host process what the sandbox uses now. Does not count as activity. */
  measure(): Promise<MessageFields<"measured">> {
    const token = this.#nextToken++;
    const action = "waiting for the VM host process to answer";
    const answer = this.#measurements.wait(token, action, ANSWER_TIMEOUT_MS);
    return this.answered(answer, encodeMessage("metrics", 0, { token, processes: 0 }));
  }

  /** Asks the host process which programs run in the guest. Does not count as activity. */
  listProcesses(): Promise<MessageFields<"processes">> {
    const token = this.#nextToken++;
    const action = "waiting for the VM host process to answer";
    const answer = this.#processLists.wait(token, action, ANSWER_TIMEOUT_MS);
    return this.answered(answer, encodeMessage("metrics", 0, { token, processes: 1 }));
  }

  /** Takes a message of the VM host process, if it is an answer. */
  protected receiveAnswer(message: Message): void {
    if (message.name === "noted") {
      this.#notes.resolve(this.#notesAnswered++, message.fields.activity);
    } else if (message.name === "paused" || message.name === "frozen") {
      const { token, on, errno } = message.fields;
      this.#standstills.resolve(token, { on: on !== 0, errno });
    } else if (message.name === "published") {
      this.#portAnswers.resolve(message.fields.token, message.fields);
    } else if (message.name === "measured") {
      this.#measurements.resolve(message.fields.token, message.fields);
    } else if (message.name === "processes") {
      this.#processLists.resolve(message.fields.token, message.fields);
    } else if (message.name === "mountChanged") {
      this.#mountAnswers.resolve(message.fields.token, message.fields.problem);
    } else if (message.name === "networkUpdated") {
      const { token, problem, config } = message.fields;
      this.#networkParts.get(token)?.push(config.slice());
      if ((message.flags & FrameFlag.more) === 0) this.#networkAnswers.resolve(token, problem);
    }
  }

  /** No answer will come any more. */
  protected rejectAnswers(error: Error): void {
    this.#standstills.rejectAll(error);
    this.#portAnswers.rejectAll(error);
    this.#measurements.rejectAll(error);
    this.#processLists.rejectAll(error);
    this.#notes.rejectAll(error);
    this.#mountAnswers.rejectAll(error);
    this.#networkAnswers.rejectAll(error);
  }

  /** Sends what the host answers with `noted`. */
  #noted(request: Bytes): Promise<number> {
    const number = this.#notesAsked++;
    const answer = this.#notes.wait(number, "waiting for the VM host process to answer", ANSWER_TIMEOUT_MS);
    return this.answered(answer, request);
  }

  #standstill(timeoutMs: number, question: (token: number) => Bytes): Promise<HoldState> {
    const token = this.#nextToken++;
    const answer = this.#standstills.wait(token, "waiting for the sandbox to pause or resume", timeoutMs);
    return this.answered(answer, question(token));
  }
}
