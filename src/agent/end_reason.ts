/**
 * Why a client's connection to the VM host process ended, as far as that can be known.
 *
 * @module
 */
import { waitFor } from "../base/wait.ts";

/** How long a session whose connection ended waits for the reason. */
const EXPLAIN_TIMEOUT_MS = 3_000;

/** Finds out why a sandbox crashed; `undefined` if it did not, or nothing is known. */
export type ExplainEnd = () => Promise<string | undefined>;

export class EndReason {
  /** Whether the sandbox said that its state on disk is final, and if so, that its file system is clean. */
  stopped: { readonly clean: boolean } | undefined;
  /** What the VM host process said of a crash. */
  crashReason: string | undefined;
  /** The client closed the connection itself. */
  isClosedHere = false;
  readonly #explain: ExplainEnd | undefined;

  constructor(explain: ExplainEnd | undefined) {
    this.#explain = explain;
  }

  /** For people. */
  get text(): string {
    if (this.stopped !== undefined) return "The sandbox was stopped";
    if (this.crashReason === undefined) return "The connection to the sandbox ended";
    return `The sandbox ended: ${this.crashReason}`;
  }

  /** Asks for the reason, unless it is known. Never rejects: the end itself is what has to be reported. */
  async find(): Promise<void> {
    const isKnown = this.isClosedHere || this.stopped !== undefined || this.crashReason !== undefined;
    if (isKnown || this.#explain === undefined) return;
    const options = { action: "finding out why the connection ended", timeoutMs: EXPLAIN_TIMEOUT_MS };
    this.crashReason = await waitFor(this.#explain(), options).catch(() => undefined);
  }
}
