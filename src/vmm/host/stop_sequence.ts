/**
 * Ends a VM: one sequence for every cause.
 *
 * The guest ends its programs, flushes and says so; the log gets its last record; the state database says `stopped`; clients
 * learn of it; and only then does the guest get leave to end the VM, which with krun ends this process in the same moment.
 *
 * What each event does in each state:
 *
 * | | booting | serving | stopping | ended |
 * |---|---|---|---|---|
 * | begin | noted for later | shuts the guest down | – | – |
 * | kill | left to the boot | stopped, exit | stopped, exit | exit |
 * | crash | left to the boot | crashed, exit | crashed, exit | – |
 * | machineExited | left to the boot | crashed, exit | crashed, exit | exit |
 *
 * @module
 */
import { messageOf } from "../../base/errors.ts";
import { settlesWithin } from "../../base/wait.ts";
import type { BootKey, StateStore } from "../../state/state_store.ts";
import type { RunningVm } from "../engine/engine.ts";
import { recordEnd } from "../run_directory/end_record.ts";
import { crashReason } from "../run_directory/last_words.ts";
import { forgetRunDirectory } from "../run_directory/run_directory.ts";
import type { AgentLink } from "./agent_link.ts";
import { noteIfPossible } from "./best_effort.ts";
import type { Relay } from "./relay.ts";
import type { SandboxLogs } from "./sandbox_logs.ts";

/** What the guest may need beyond the grace: killing, flushing, unmounting. */
const FLUSH_TIMEOUT_MS = 10_000;
/** What the VM may need from `go` to its end. libkrun 1.17 can hang there; everything is safe by then. */
const EXIT_TIMEOUT_MS = 1_000;
/** How long clients may take to read why the sandbox ended. */
const LAST_WORDS_TIMEOUT_MS = 200;

/** What the engine may take from the end of its connection to its own end, which tells more. */
export const EXIT_REASON_MS = 500;

/** Why a sandbox ends. */
export type StopCause =
  | "requested"
  | "killed"
  | "ownerGone"
  | "maxDuration"
  | "idleTimeout"
  | "drained"
  | "networkViolation";

/** A guest that answers, and all that its end concerns. */
export interface Session {
  readonly key: BootKey;
  readonly link: AgentLink;
  readonly relay: Relay;
  readonly vm: Pick<RunningVm, "exited" | "kill">;
  readonly logs: SandboxLogs;
  /** Resolves when all that the guest did is in the logs, once it has ended; soon, and never rejects. @default at once */
  readonly settled?: (() => Promise<void>) | undefined;
  /** Called before the end is made known, and after. */
  readonly onEnding: () => void;
  readonly onEnded: () => void;
}

type StopState =
  /** An end that is asked for now comes when the guest answers, unless the boot gives up first. */
  | { readonly kind: "booting"; readonly early?: { readonly cause: StopCause; readonly graceMs: number } }
  | { readonly kind: "serving"; readonly session: Session }
  | { readonly kind: "stopping"; readonly session: Session }
  | { readonly kind: "ended"; readonly session: Session };

export class StopSequence {
  /** Resolves when an end has been asked for. */
  readonly begun: Promise<StopCause>;
  readonly #store: StateStore;
  readonly #runDirectory: string;
  readonly #begun = Promise.withResolvers<StopCause>();
  #state: StopState = { kind: "booting" };
  /** The end could not be recorded: the run directory says what is true, and has to stay. */
  #isUnrecorded = false;

  constructor(store: StateStore, runDirectory: string) {
    this.#store = store;
    this.#runDirectory = runDirectory;
    this.begun = this.#begun.promise;
  }

  /** The guest answers: from now on it takes part in its end. */
  serve(session: Session): void {
    const { early } = this.#state.kind === "booting" ? this.#state : {};
    this.#store.transition(session.key, "ready");
    this.#state = { kind: "serving", session };
    session.link.ended.then((reason) => setTimeout(() => this.crash(reason), EXIT_REASON_MS));
    session.vm.exited.then((reason) => this.machineExited(reason));
    // The boot had all of its answers in the moment when it was to give up.
    if (early !== undefined) this.begin(early.cause, early.graceMs);
  }

  /** Starts the sequence; more causes of the same end change nothing. */
  begin(cause: StopCause, graceMs: number): void {
    this.#begun.resolve(cause);
    const state = this.#state;
    switch (state.kind) {
      case "booting": // the boot gives up by `begun`, if it still waits for anything
        this.#state = { kind: "booting", early: state.early ?? { cause, graceMs } };
        return;
      case "serving":
        this.#state = { kind: "stopping", session: state.session };
        this.#run(state.session, cause, graceMs).catch((error: unknown) => this.crash(messageOf(error)));
        return;
      case "stopping":
      case "ended":
        return;
    }
  }

  /** Ends the VM at once. What the guest has not flushed is lost, as after a power cut. */
  kill(cause: StopCause): void {
    this.#begun.resolve(cause);
    const state = this.#state;
    switch (state.kind) {
      case "booting": // the boot kills the VM
        return;
      case "serving":
      case "stopping":
        this.#finish(state.session, "stopped", cause, false);
        this.#exitOnceRead(state.session);
        return;
      case "ended":
        return this.#exit(state.session);
    }
  }

  /** Ends a VM that is of no use any more; `reason` is for people. */
  crash(reason: string): void {
    const state = this.#state;
    switch (state.kind) {
      case "booting": // the boot reports it
      case "ended":
        return;
      case "serving":
      case "stopping":
        this.#finish(state.session, "crashed", reason, false);
        this.#exitOnceRead(state.session);
        return;
    }
  }

  /** The VM has ended by itself. */
  machineExited(reason: string): void {
    if (this.#state.kind === "ended") this.#exit(this.#state.session);
    else this.crash(reason);
  }

  async #run(session: Session, cause: StopCause, graceMs: number): Promise<void> {
    noteIfPossible(() => this.#store.transition(session.key, "stopping", { attributes: { cause } }));
    const { clean } = await session.link.shutdown(graceMs, graceMs + FLUSH_TIMEOUT_MS);
    await session.settled?.();
    if (this.#state.kind === "ended") return; // killed while it waited
    this.#finish(session, "stopped", cause, clean === 1);
    await session.relay.close();
    this.#forgetRunDirectory();
    session.link.go();
    setTimeout(() => this.#exit(session), EXIT_TIMEOUT_MS);
  }

  /** Makes the end known, on disk first. */
  #finish(session: Session, action: "stopped" | "crashed", reason: string, clean: boolean): void {
    this.#state = { kind: "ended", session };
    const told = action === "crashed" ? crashReason(reason, this.#runDirectory) : reason;
    noteIfPossible(session.onEnding);
    noteIfPossible(() => session.logs.ended(action, reason));
    noteIfPossible(() => this.#record(session.key, action, told));
    noteIfPossible(session.onEnded);
    if (action === "stopped") session.relay.announceStopped(clean);
    else session.relay.announceCrashed(told);
  }

  /** Records the end in the state database, or, on a full disk, where the next process to look finds it. */
  #record(key: BootKey, action: "stopped" | "crashed", reason: string): void {
    try {
      this.#store.transition(key, action, { reason });
    } catch (error) {
      recordEnd(this.#runDirectory, { action, reason });
      this.#isUnrecorded = true;
      throw error;
    }
  }

  /** Ends this process as soon as clients have read why. */
  #exitOnceRead(session: Session): void {
    const exit = () => this.#exit(session);
    settlesWithin(session.relay.drained(), LAST_WORDS_TIMEOUT_MS).then(exit, exit);
  }

  #exit({ vm }: Session): void {
    this.#forgetRunDirectory(); // first: with krun, kill() does not return
    vm.kill();
    process.exit(0);
  }

  /** What cannot be moved away, for want of descriptors or on a full disk, is swept once its holder is gone. */
  #forgetRunDirectory(): void {
    if (!this.#isUnrecorded) noteIfPossible(() => forgetRunDirectory(this.#runDirectory));
  }
}
