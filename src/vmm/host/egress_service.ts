/**
 * The guest's network, as the VM host process sees it: a Worker that decides about each connection and carries it, so that no
 * flow holds up anything else. Sandboxes without such a network load nothing of it.
 *
 * Without the Worker there is no network: the agent takes the guest's interface away with the Worker's connection. One that has ended
 * by itself, for a fault or because the guest killed its side, is started again a few times.
 *
 * @module
 */
import { setTimeout as delay } from "node:timers/promises";
import { InternalError, MicrosandboxError, messageOf } from "../../base/errors.ts";
import { settlesWithin, waitFor } from "../../base/wait.ts";
import type { EgressConfig } from "../../egress/config.ts";
import { applyEgressUpdate, type EgressReport, type EgressUpdate, reportOf } from "../../egress/update.ts";
import type { EgressWorkerMessage, EgressWorkerRequest } from "./egress_messages.ts";

/** How long the Worker may take to give the guest its network; it needs a fraction of a second. */
const START_TIMEOUT_MS = 60_000;
/** How long a change of the rules may take. */
const UPDATE_TIMEOUT_MS = 10_000;
/** How often a network that has ended by itself is started again, and how soon. */
const RESTARTS_MAX = 5;
const RESTART_DELAY_MS = 1_000;
/** How long the last flows may take to be written down, once the guest's side is gone. */
const SETTLE_TIMEOUT_MS = 500;

/** Where decisions about flows are written down. */
export interface FlowLog {
  flow(record: object): void;
  flowsLost(records: number): void;
}

/** The part of the guest's agent that the service needs. */
export interface VariablesSink {
  setVariables(variables: Readonly<Record<string, string>>): void;
}

/** What the service works with. */
export interface EgressServiceOptions {
  /** Where this process listens for clients. */
  readonly socketPath: string;
  readonly config: EgressConfig;
  /** The guest did what ends the sandbox. */
  readonly onTerminate: (reason: string) => void;
}

/** See the module. */
export class EgressService implements Disposable {
  readonly #options: EgressServiceOptions;
  #config: EgressConfig;
  readonly #traffic = new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT);
  #log: FlowLog | undefined;
  #guest: VariablesSink | undefined;
  #worker: Worker | undefined;
  readonly #updates = new Map<number, PromiseWithResolvers<void>>();
  #nextToken = 1;
  #starting = Promise.withResolvers<void>();
  #ended = Promise.withResolvers<void>();
  #restarts = 0;
  #isClosed = false;

  /** Begins to load its modules, which continues while the VM boots. */
  constructor(options: EgressServiceOptions) {
    this.#options = options;
    this.#config = options.config;
    this.#load();
  }

  /** Gives the guest its network, once clients are served. @throws {MicrosandboxError} */
  async open(log: FlowLog, guest: VariablesSink): Promise<void> {
    this.#log = log;
    this.#guest = guest;
    await this.#start();
  }

  async #start(): Promise<void> {
    const action = "waiting for the guest's network";
    this.#send({
      type: "start",
      socketPath: this.#options.socketPath,
      config: this.#config,
      traffic: this.#traffic,
    });
    await waitFor(this.#starting.promise, { action, timeoutMs: START_TIMEOUT_MS });
  }

  /** What programs of the guest have received and sent, in bytes without headers. */
  get traffic(): { readonly rxBytes: number; readonly txBytes: number } {
    const [rxBytes = 0, txBytes = 0] = new Float64Array(this.#traffic);
    return { rxBytes, txBytes };
  }

  /** Puts other rules into force: connections that they do not allow end. Without a change, it only reports them. @throws {MicrosandboxError} */
  async update(update: EgressUpdate): Promise<EgressReport> {
    if (Object.keys(update).length === 0) return reportOf(this.#config);
    const config = applyEgressUpdate(this.#config, update);
    const token = this.#nextToken++;
    const answer = Promise.withResolvers<void>();
    this.#updates.set(token, answer);
    try {
      this.#send({ type: "update", token, config });
      const action = "waiting for the network to take its rules";
      await waitFor(answer.promise, { action, timeoutMs: UPDATE_TIMEOUT_MS });
      this.#config = config;
      return reportOf(config);
    } finally {
      this.#updates.delete(token);
    }
  }

  /** Resolves when all flows of a guest that is ending are written down, or soon after. Never rejects. */
  async settled(): Promise<void> {
    this.#isClosed = true;
    await settlesWithin(this.#ended.promise, SETTLE_TIMEOUT_MS);
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    this.#worker?.terminate();
    this.#worker = undefined;
  }

  #load(): void {
    const worker = new Worker(new URL("./egress_worker.ts", import.meta.url).href, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<EgressWorkerMessage>) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault(); // Deno would end the process
      this.#lose(new InternalError(`The Worker that carries the network failed: ${event.message}`));
    };
    this.#worker = worker;
    this.#starting = Promise.withResolvers();
    this.#starting.promise.catch(() => {}); // open() reports it, or the restart
    this.#ended = Promise.withResolvers();
  }

  /** Requests wait in the Worker's own queue until it is loaded. */
  #send(request: EgressWorkerRequest): void {
    if (this.#worker === undefined) throw new MicrosandboxError("network", "The sandbox's network has ended");
    this.#worker.postMessage(request);
  }

  #receive(message: EgressWorkerMessage): void {
    switch (message.type) {
      case "loaded":
        return;
      case "started":
        this.#guest?.setVariables(message.variables);
        return this.#starting.resolve();
      case "failed":
        return this.#lose(
          new MicrosandboxError(message.code ?? "network", message.message, { hint: message.hint }),
        );
      case "updated":
        return this.#updated(message.token, message.problem);
      case "flows":
        this.#write(message.entries, message.lostCount);
        return this.#worker?.postMessage({ type: "written" } satisfies EgressWorkerRequest);
      case "terminate":
        return this.#options.onTerminate(message.reason);
      case "ended":
        return this.#lose(new MicrosandboxError("network", "The guest's side of the network has ended"));
    }
  }

  #updated(token: number, problem: string): void {
    const answer = this.#updates.get(token);
    if (problem === "") answer?.resolve();
    else answer?.reject(new MicrosandboxError("network", problem));
  }

  #write(entries: readonly object[], lostCount: number): void {
    if (lostCount > 0) this.#log?.flowsLost(lostCount);
    for (const entry of entries) this.#log?.flow({ kind: "flow", ...entry });
  }

  /** There is no network any more. */
  #lose(error: Error): void {
    const worker = this.#worker;
    if (worker === undefined) return;
    this.#worker = undefined;
    worker.terminate();
    this.#starting.reject(error);
    this.#ended.resolve();
    for (const answer of this.#updates.values()) answer.reject(error);
    if (!this.#isClosed) void this.#restart(error);
  }

  async #restart(reason: Error): Promise<void> {
    const wasStarted = await this.#starting.promise.then(
      () => true,
      () => this.#restarts > 0,
    );
    if (!wasStarted) return; // open() reports that it never came
    console.error(`the network has ended: ${messageOf(reason)}`); // into the diagnostics
    if (++this.#restarts > RESTARTS_MAX) {
      console.error(`the network is not started again: it has ended ${this.#restarts} times`);
      return;
    }
    await delay(RESTART_DELAY_MS);
    if (this.#isClosed) return;
    this.#load();
    this.#start().catch((error: unknown) =>
      console.error(`the network does not come back: ${messageOf(error)}`),
    );
  }
}
