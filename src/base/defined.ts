/** Optional fields that are set to `undefined` are like fields that are missing. @module */

/** Returns a copy of `fields` without those that are `undefined`. Anything but a plain object is left for its check. */
export function withoutUndefined<T>(fields: T): T {
  if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return fields;
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as T;
}
