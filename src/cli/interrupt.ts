/**
 * Ctrl-C and other ending signals: the first ends the command cleanly, the second at once.
 *
 * @module
 */
import { constants } from "node:os";

/** The signals that ask a command to end. */
export const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const satisfies readonly NodeJS.Signals[];
export type EndingSignal = (typeof ENDING_SIGNALS)[number];

/** Where signals come from: `process` is one. */
export interface SignalSource {
  on(signal: EndingSignal, listener: () => void): unknown;
  off(signal: EndingSignal, listener: () => void): unknown;
}

/** The exit status of what a signal ended, as shells say it. */
export function signalStatus(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

export class Interrupt implements Disposable {
  readonly #abort = new AbortController();
  readonly #listeners = new Map<EndingSignal, () => void>();
  readonly #source: SignalSource;
  readonly #exit: (status: number) => void;
  #handler: ((signal: EndingSignal) => void) | undefined;
  #status: number | undefined;

  /** @param exit ends the process at once */
  constructor(source: SignalSource, exit: (status: number) => void) {
    this.#source = source;
    this.#exit = exit;
    for (const signal of ENDING_SIGNALS) {
      const listener = () => this.#receive(signal);
      this.#listeners.set(signal, listener);
      source.on(signal, listener);
    }
  }

  /** Aborted by the first signal that no program takes. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The exit status that the first of these signals asks for; `undefined` if there was none. */
  get status(): number | undefined {
    return this.#status;
  }

  /** Ends the command as a signal would. */
  abort(status: number): void {
    this.#status ??= status;
    this.#abort.abort(new Error(`ended with status ${status}`));
  }

  /** Hands signals to `handler` until the result is disposed of: to a program in a sandbox, for example. */
  redirect(handler: (signal: EndingSignal) => void): Disposable {
    this.#handler = handler;
    return {
      [Symbol.dispose]: () => {
        this.#handler = undefined;
      },
    };
  }

  [Symbol.dispose](): void {
    for (const [signal, listener] of this.#listeners) this.#source.off(signal, listener);
  }

  #receive(signal: EndingSignal): void {
    if (this.#handler !== undefined) return this.#handler(signal);
    if (this.#status !== undefined) return this.#exit(signalStatus(signal));
    this.abort(signalStatus(signal));
  }
}
