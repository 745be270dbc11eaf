/**
 * How many files the mounts of one process hold open together. Each takes a descriptor, and the process needs some for itself: a
 * guest that used them up would keep everybody from talking to the sandbox.
 *
 * @module
 */
import { FileSystemError } from "../errno.ts";

/** Counts open files up to a bound. */
export class OpenFiles {
  readonly #max: number;
  #count = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** To be called before a file is opened. @throws {FileSystemError} ENFILE */
  take(): void {
    if (this.#count >= this.#max) throw new FileSystemError("ENFILE");
    this.#count++;
  }

  /** A file is open that is not refused: at most one for each that was counted. */
  add(): void {
    this.#count++;
  }

  /** A file was closed, or could not be opened. */
  giveBack(): void {
    this.#count--;
  }
}
