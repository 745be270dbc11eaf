/** Invariants: what can only be false if this library has a fault. @module */
import { InternalError } from "./errors.ts";

/** Throws {@linkcode InternalError} unless `condition` holds. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InternalError(`Invariant broken: ${message}`);
}

/** For the `default` of an exhaustive `switch`: the compiler proves that it is never reached. */
export function unreachable(value: never): never {
  throw new InternalError(`Unreachable value: ${String(value)}`);
}
