/**
 * The C programs that the benches compare with or feed from.
 *
 * @module
 */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Paths of what was compiled, and of the agent that is shipped. */
export interface NativePrograms {
  readonly agent: string;
  readonly baseline: string;
  readonly connectAgent: string;
  readonly produce: string;
  /** Static: it runs in a guest. */
  readonly forkExec: string;
}

const SOURCES = new URL("../vm/", import.meta.url);

/** Compiles them into `directory`; needs gcc. */
export function compilePrograms(directory: string): NativePrograms {
  const compile = (name: string, ...flags: string[]) => {
    const output = join(directory, name);
    const source = fileURLToPath(new URL(`${name}.c`, SOURCES));
    execFileSync("gcc", ["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", output, source, ...flags]);
    return output;
  };
  const architecture = process.arch === "arm64" ? "aarch64" : "x86_64";
  return {
    agent: fileURLToPath(new URL(`../../guest/prebuilt/agent-${architecture}`, import.meta.url)),
    baseline: compile("baseline", "-ldl", "-lpthread"),
    connectAgent: compile("connect_agent"),
    produce: compile("produce"),
    forkExec: compile("fork_exec", "-static"),
  };
}
