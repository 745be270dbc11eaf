/** How the benches run a script in a process of its own, and what they ask of one. @module */
import { readFileSync } from "node:fs";

/** The arguments that run `script` as a user's program. */
export function runtimeArguments(script: string): string[] {
  return "Bun" in globalThis ? [script] : ["run", "--allow-all", "--quiet", script];
}

/** The arguments that run `script` as a VM host process is run; see `src/platform/runtime.ts`. */
export function hostArguments(script: string): string[] {
  return "Bun" in globalThis
    ? ["--smol", script]
    : ["run", "--allow-all", "--quiet", "--v8-flags=--lite-mode", script];
}

/**
 * The peak of this process's resident memory so far, in MB. Not `ru_maxrss`, which a process inherits from the one that
 * has started it.
 */
export function readPeakMB(): number {
  const status = readFileSync("/proc/self/status", "utf8");
  const [, kibibytes] = /^VmHWM:\s+([0-9]+) kB$/m.exec(status) ?? [];
  if (kibibytes === undefined) throw new Error("the kernel does not tell the peak of resident memory");
  return (Number(kibibytes) * 1024) / 1e6;
}
