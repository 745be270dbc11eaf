/**
 * Loaded by `bun test` before any test file (bunfig.toml). Bun ignores flags that it does not know, so `bun test
 * --only-ignored` reaches us only through the process's own command line, which Linux shows in /proc. Elsewhere
 * `MSB_ONLY_IGNORED=1` says the same.
 *
 * @module
 */
import { readFileSync } from "node:fs";

function commandLine(): string[] {
  try {
    return readFileSync("/proc/self/cmdline", "utf8").split("\0");
  } catch {
    return process.argv; // no /proc: only the environment variable can tell
  }
}

if (commandLine().includes("--only-ignored")) process.env["MSB_ONLY_IGNORED"] = "1";
