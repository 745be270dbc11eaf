/**
 * What a program wrote and how it ended, as events and as a collected result.
 *
 * @module
 */
import type { ExecFailureKind } from "../../agent/errors.ts";
import type { ExecExit } from "../../agent/exec_session.ts";
import { type SignalName, signalName } from "../../agent/guest_signal.ts";
import { type Bytes, decodeUtf8 } from "../../base/bytes.ts";

/** How a program ended. */
export interface ExitStatus {
  /** The exit code; 128 plus the signal's number, as in shells, if a signal ended the program. */
  readonly code: number;
  /** Whether the code is 0. */
  readonly success: boolean;
  /** The number of the signal that ended the program, e.g. 9 for SIGKILL; `undefined` if it exited. */
  readonly signal: number | undefined;
  /** The name of that signal, e.g. `"SIGKILL"`; `undefined` if it exited, and for a real-time signal, which has none. */
  readonly signalName: SignalName | undefined;
}

/**
 * The collected result of `exec()`: everything the program wrote, and its exit status.
 *
 * @example
 * ```ts
 * const output = await sandbox.exec("ls", ["/etc"]);
 * if (output.success) console.log(output.stdout());
 * else console.error(`exit code ${output.code}: ${output.stderr()}`);
 * ```
 */
export class ExecOutput {
  /** How the program ended. */
  readonly status: ExitStatus;
  readonly #stdout: Bytes;
  readonly #stderr: Bytes;

  /** Made by `exec()`. */
  constructor(status: ExitStatus, stdout: Bytes, stderr: Bytes) {
    this.status = status;
    this.#stdout = stdout;
    this.#stderr = stderr;
  }

  /** The exit code; 128 plus the signal's number if a signal ended the program. Same as `status.code`. */
  get code(): number {
    return this.status.code;
  }

  /** Whether the exit code is 0. Same as `status.success`. */
  get success(): boolean {
    return this.status.success;
  }

  /** The number of the signal that ended the program; `undefined` if it exited. Same as `status.signal`. */
  get signal(): number | undefined {
    return this.status.signal;
  }

  /** The name of that signal. Same as `status.signalName`. */
  get signalName(): SignalName | undefined {
    return this.status.signalName;
  }

  /** Standard output decoded as UTF-8; invalid bytes become U+FFFD. All output, if the program had a terminal. */
  stdout(): string {
    return decodeUtf8(this.#stdout);
  }

  /** Standard error decoded as UTF-8; invalid bytes become U+FFFD. Empty if the program had a terminal. */
  stderr(): string {
    return decodeUtf8(this.#stderr);
  }

  /** Standard output as the bytes that were written. */
  stdoutBytes(): Bytes {
    return this.#stdout;
  }

  /** Standard error as the bytes that were written. */
  stderrBytes(): Bytes {
    return this.#stderr;
  }
}

/**
 * One event of a running program, in order of arrival: `started` first, then chunks of output, and `exited` last, after
 * everything that the process itself wrote. Errors that end a run are thrown, and are no events.
 *
 * - `stdinError`: the program reads no more, though there was input for it. Told once; the program goes on, and what is
 *   written from then on is dropped. `errno` is the guest's number, 32 for EPIPE.
 * - `failed`: the program could not be started. It is the first and last event, and comes only if the program was started
 *   with `startFailure: "event"`. Otherwise `execStream()` itself rejects with `ExecFailedError`, and there is no handle.
 */
export type ExecEvent =
  | { readonly kind: "started"; readonly pid: number }
  | {
      readonly kind: "failed";
      /** The cause, as in `ExecFailedError.kind`, e.g. `"notFound"`. */
      readonly reason: ExecFailureKind;
      /** The guest's error number, e.g. 2 (ENOENT); 0 if the guest reported no error number. */
      readonly errno: number;
      /** The message of the error that `wait()` rejects with. */
      readonly message: string;
    }
  | { readonly kind: "stdout"; readonly data: Bytes }
  | { readonly kind: "stderr"; readonly data: Bytes }
  | { readonly kind: "stdinError"; readonly errno: number }
  | {
      readonly kind: "exited";
      readonly code: number;
      readonly signal: number | undefined;
      readonly signalName: SignalName | undefined;
    };

/** The public form of how a session ended. */
export function statusOf({ code, signal }: ExecExit): ExitStatus {
  return { code, success: code === 0, signal, signalName: signalName(signal) };
}
