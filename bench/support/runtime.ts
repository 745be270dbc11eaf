/** How the benches run a script in a process of its own. @module */

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
