/** Names of errno values. @module */

/** The name of a positive errno on this system, e.g. `"EINVAL"` of 22; `"E" + number` where it has none. */
export function errnoName(errno: number): string {
  const fallback = `E${errno}`;
  try {
    // Loaded here, as it takes long to load and few processes ever see a failure.
    // Unknown numbers give undefined, a sentence or an exception, depending on the runtime.
    const name: string | undefined = process.getBuiltinModule("node:util").getSystemErrorName(-errno);
    return name !== undefined && /^E[A-Z0-9]+$/.test(name) ? name : fallback;
  } catch {
    return fallback;
  }
}
