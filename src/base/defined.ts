/** Optional fields that are set to `undefined` are like fields that are missing. @module */

/** A copy of `fields` without those that are `undefined`. */
export function withoutUndefined<T extends object>(fields: T): T {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
