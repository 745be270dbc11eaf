/**
 * Calls that configure a part of a sandbox by a builder of its own.
 *
 * @module
 */
import { InvalidConfigError } from "../base/errors.ts";

/**
 * The builder that `configure` returns.
 *
 * @param field The method that took `configure`.
 * @throws {InvalidConfigError} if it is not a function, or returns something else.
 */
export function configured<T extends object>(field: string, builder: T, configure: (builder: T) => T): T {
  if (typeof configure !== "function")
    throw new InvalidConfigError([{ field, problem: `needs a function that takes a ${nameOf(builder)}` }]);
  const result: unknown = configure(builder);
  if (result instanceof builder.constructor) return result as T;
  const problem = `needs a function that returns the ${nameOf(builder)} that it takes`;
  throw new InvalidConfigError([{ field, problem }]);
}

function nameOf(builder: object): string {
  return builder.constructor.name;
}
