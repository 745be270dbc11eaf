/**
 * A descriptor kept in reserve, so that a listener of a process that has run out of them can still accept a connection: to
 * close it. Otherwise the connection stays in the queue, the listener stays ready, and the event loop turns without end.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs";
import { errnoOf } from "../base/errors.ts";

/** Opening it needs nothing but a descriptor. */
const PATH = "/dev/null";
/** What open(2) says when the process, or the system, has no descriptor left. */
const EXHAUSTED: readonly (string | undefined)[] = ["EMFILE", "ENFILE"];

/** Whether an error says that there are no descriptors left. */
export function isOutOfDescriptors(error: unknown): boolean {
  return EXHAUSTED.includes(errnoOf(error));
}

export class SpareDescriptor {
  #descriptor: number | undefined;

  constructor() {
    this.hold();
  }

  /** Takes the reserve, unless it is there. Returns whether it is: if not, the last connection was one too many. */
  hold(): boolean {
    try {
      this.#descriptor ??= openSync(PATH, "r");
      return true;
    } catch {
      return false;
    }
  }

  /** Gives the reserve up: one connection can be accepted. */
  release(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  /** Gives the reserve up if it is the last descriptor. */
  releaseIfLast(): void {
    try {
      closeSync(openSync(PATH, "r"));
    } catch (error) {
      if (isOutOfDescriptors(error)) this.release();
    }
  }
}
