/** Values that may be available already: those are used at once, since a promise for each call would be slow. @module */
import type { MaybePromise } from "./provider.ts";

/** Continues with a value, at once if it is available. */
export function then<T, R>(value: MaybePromise<T>, next: (value: T) => MaybePromise<R>): MaybePromise<R> {
  return value instanceof Promise ? value.then(next) : next(value);
}

/** Continues with the result of a call, or with what it throws. */
export function settled<T, R>(
  call: () => MaybePromise<T>,
  done: (value: T) => MaybePromise<R>,
  failed: (error: unknown) => MaybePromise<R>,
): MaybePromise<R> {
  let value: MaybePromise<T>;
  try {
    value = call();
  } catch (error) {
    return failed(error);
  }
  return value instanceof Promise ? value.then(done, failed) : done(value);
}
