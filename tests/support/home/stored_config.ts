/** The config of a sandbox that has no VM. @module */

/** A config as `createSandbox` stores it. */
export function storedConfig(name: string, overrides: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    version: 1,
    name,
    image: "/no/image",
    cpus: 1,
    memoryMiB: 128,
    diskMiB: 64,
    env: {},
    shell: "/bin/sh",
    hostname: name,
    labels: {},
    rlimits: [],
    bootTimeoutMs: 1000,
    imageConfig: {},
    ...overrides,
  });
}
