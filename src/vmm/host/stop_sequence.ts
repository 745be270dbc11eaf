/**
 * How a VM ends: one sequence for every cause.
 *
 * The guest ends its programs, flushes and says so; the log gets its last record; the state database says `stopped`; clients
 * are told; and only then does the guest get leave to end the VM, which with krun ends this process in the same moment.
 *
 * @module
 */
import { messageOf } from "../../base/errors.ts";
import type { BootKey, StateStore } from "../../state/state_store.ts";
import type { Machine } from "../engine/engine.ts";
import { crashReason } from "../run_directory/dead_boot.ts";
import { forgetRunDirectory } from "../run_directory/run_directory.ts";
import type { AgentLink } from "./agent_link.ts";
import { noteIfPossible } from "./best_effort.ts";
import type { Relay } from "./relay.ts";
import type { SandboxLogs } from "./sandbox_logs.ts";

/** What the guest may need beyond the grace: killing, flushing, unmounting. */
const FLUSH_TIMEOUT_MS = 10_000;
/** What the VM may need from `go` to its end. libkrun 1.17 can hang there; everything is safe by then. */
const EXIT_TIMEOUT_MS = 1_000;

/** What the engine may take from the end of its connection to its own end, which says more. */
export const EXIT_REASON_MS = 500;

/** Why a sandbox ends. */
export type StopCause = "requested" | "killed" | "ownerGone" | "maxDuration" | "idleTimeout" | "drained";

/** A guest that answers. */
interface Session {
  readonly link: AgentLink;
  readonly relay: Relay;
  readonly key: BootKey;
}

export class StopSequence {
  /** Resolves when an end has been asked for. */
  readonly begun: Promise<StopCause>;
  machine: Machine | undefined;
  logs: SandboxLogs | undefined;
  /** Called before the end is made known, and after. */
  onEnding: () => void = () => {};
  onEnded: () => void = () => {};
  readonly #state: StateStore;
  readonly #runDirectory: string;
  readonly #begun = Promise.withResolvers<StopCause>();
  #session: Session | undefined;
  /** An end that was asked for before there was a session. */
  #early: { readonly cause: StopCause; readonly graceMs: number } | undefined;
  #isStopping = false;
  #isFinal = false;

  constructor(state: StateStore, runDirectory: string) {
    this.#state = state;
    this.#runDirectory = runDirectory;
    this.begun = this.#begun.promise;
  }

  /** The guest answers: from now on it takes part in its end. */
  open(link: AgentLink, relay: Relay, key: BootKey): void {
    this.#session = { link, relay, key };
    this.#state.transition(key, "ready");
    link.closed.then(() => setTimeout(() => this.crash("the guest's agent hung up"), EXIT_REASON_MS));
    // boot() had all of its answers in the moment when it was to give up.
    if (this.#early !== undefined) this.begin(this.#early.cause, this.#early.graceMs);
  }

  /** Starts the sequence; more causes of the same end change nothing. */
  begin(cause: StopCause, graceMs: number): void {
    this.#begun.resolve(cause);
    if (this.#session === undefined) {
      this.#early ??= { cause, graceMs }; // still booting: boot() gives up by `begun`, if it still waits for anything
      return;
    }
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#run(this.#session, cause, graceMs).catch((error: unknown) => this.crash(messageOf(error)));
  }

  /** Ends the VM at once. What the guest has not flushed is lost, as after a power cut. */
  kill(cause: StopCause): void {
    this.#begun.resolve(cause);
    if (this.#session === undefined) return; // still booting: boot() kills the machine
    this.#finish("stopped", cause, false);
    this.#exit();
  }

  /** The VM has ended by itself. */
  machineExited(reason: string): void {
    if (this.#isFinal) this.#exit();
    else this.crash(reason);
  }

  /** Ends a VM that is of no use any more; `reason` is for people. */
  crash(reason: string): void {
    if (this.#isFinal) return;
    this.#finish("crashed", reason, false);
    this.#exit();
  }

  async #run(session: Session, cause: StopCause, graceMs: number): Promise<void> {
    const { key } = session;
    noteIfPossible(() => this.#state.transition(key, "stopping", { attributes: { cause } }));
    const { clean } = await session.link.shutdown(graceMs, graceMs + FLUSH_TIMEOUT_MS);
    this.#finish("stopped", cause, clean === 1);
    await session.relay.close();
    this.#forgetRunDirectory();
    session.link.go();
    setTimeout(() => this.#exit(), EXIT_TIMEOUT_MS);
  }

  /** Makes the end known, on disk first. */
  #finish(action: "stopped" | "crashed", reason: string, clean: boolean): void {
    if (this.#isFinal || this.#session === undefined) return;
    this.#isFinal = true;
    const { key, relay } = this.#session;
    noteIfPossible(() => this.onEnding());
    noteIfPossible(() => this.logs?.ended(action, reason));
    noteIfPossible(() => {
      const told = action === "crashed" ? crashReason(reason, this.#runDirectory) : reason;
      this.#state.transition(key, action, { reason: told });
    });
    noteIfPossible(() => this.onEnded());
    if (action === "stopped") relay.announceStopped(clean);
  }

  #exit(): void {
    this.#forgetRunDirectory(); // first: with krun, kill() does not return
    this.machine?.kill();
    process.exit(0);
  }

  /** What cannot be moved away, for want of descriptors or on a full disk, is swept once its keeper is gone. */
  #forgetRunDirectory(): void {
    noteIfPossible(() => forgetRunDirectory(this.#runDirectory));
  }
}
