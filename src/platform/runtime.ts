/**
 * Which runtime this is, and how it runs a module of ours in a process of its own.
 *
 * @module
 */
import { UnsupportedError } from "../base/errors.ts";

export type RuntimeName = "bun" | "deno";

/** @throws {UnsupportedError} on a runtime without FFI, such as Node.js. */
export function runtimeName(): RuntimeName {
  if ("Bun" in globalThis) return "bun";
  if ("Deno" in globalThis) return "deno";
  throw new UnsupportedError("This runtime is neither Bun nor Deno", {
    hint: "run the program with `bun` or `deno run -A`: the VM host process needs their FFI",
  });
}

/**
 * The command line that runs `module` in a new process of this runtime. The runtime then reads no `.env`, `deno.json` or
 * `package.json`, and installs nothing. Bun still reads the `bunfig.toml` of the working directory and runs what it
 * preloads, so start the process in a directory of ours.
 */
export function runtimeCommand(module: URL): { readonly file: string; readonly args: readonly string[] } {
  const target = module.protocol === "file:" ? decodeURIComponent(module.pathname) : module.href;
  if (runtimeName() === "bun") {
    // A program made by `bun build --compile` is its own runtime: see BUN_BE_BUN below.
    // --smol: a small heap counts more than speed in a process that is one per sandbox.
    return { file: process.execPath, args: ["--smol", "--no-install", "--no-env-file", target] };
  }
  if (isDenoCompiled()) {
    throw new UnsupportedError("A program made by `deno compile` cannot start the VM host process", {
      hint: "run the program with `deno run -A`, or compile it with `bun build --compile`",
    });
  }
  return {
    file: process.execPath,
    args: ["run", "--allow-all", "--no-prompt", "--quiet", "--no-config", "--no-lock", target],
  };
}

/** A program made by `deno compile` cannot run other modules. */
function isDenoCompiled(): boolean {
  const { Deno } = globalThis as unknown as { Deno: { build: { standalone?: boolean } } };
  return Deno.build.standalone === true;
}

/**
 * The variables that a VM host process gets. The rest of the caller's environment may hold secrets, or options of the
 * runtime that are meant for the caller's program (`NODE_OPTIONS`, `BUN_OPTIONS`, `DENO_*`).
 */
export function runtimeEnvironment(): Record<string, string> {
  const kept = [
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "DENO_DIR",
    "LANG",
    "TZ",
  ];
  // A program made by `bun build --compile` then acts as `bun` itself, and runs the module on its command line.
  const environment: Record<string, string> = { DENO_NO_PACKAGE_JSON: "1", BUN_BE_BUN: "1" };
  for (const name of [...kept, ...Object.keys(process.env).filter((key) => key.startsWith("MSB_"))]) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
