/**
 * What a home's sandboxes leave behind: processes, sockets, directories. Tests demand that it is nothing.
 *
 * @module
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** How long the kernel and the sweepers may take until everything is gone. */
const GONE_TIMEOUT_MS = 20_000;
const POLL_MS = 25;

/** A process that works for a home. */
export interface HomeProcess {
  readonly pid: number;
  readonly commandLine: string;
}

/**
 * The directory of a home's sockets. It is spelled out here a second time on purpose: a test that asked the code under
 * test where to look would find nothing if that looked in the wrong place.
 */
export function runRoot(home: string): string {
  const base = process.env["XDG_RUNTIME_DIR"] || tmpdir();
  const digest = createHash("sha256").update(home).digest("hex").slice(0, 12);
  return join(base, `msb-${userInfo().uid}-${digest}`);
}

/** The VM host processes and engines of a home: those that work in it, or name it or its sockets. */
export function processesOf(home: string): HomeProcess[] {
  const found: HomeProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const commandLine = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      if (commandLine === "") continue; // a kernel thread, or a zombie
      const isOurs =
        isBelow(readlinkSync(`/proc/${pid}/cwd`), [home, runRoot(home)]) ||
        commandLine.includes(home) ||
        commandLine.includes(runRoot(home));
      if (isOurs) found.push({ pid, commandLine });
    } catch {
      // ended while we looked, or is not ours to look at
    }
  }
  return found;
}

function isBelow(path: string, directories: readonly string[]): boolean {
  return directories.some((directory) => path === directory || path.startsWith(`${directory}/`));
}

/** The VM host processes of a home. */
export function hostProcesses(home: string): HomeProcess[] {
  return processesOf(home).filter(({ commandLine }) => commandLine.includes("vmm/host/start.ts"));
}

/** Run directories, each with what is in it. */
export function runDirectories(home: string): string[] {
  return listOrNone(runRoot(home)).map((name) => {
    const files = listOrNone(join(runRoot(home), name));
    return `${name}: ${files.join(" ") || "empty"}`;
  });
}

/** Asserts that no process, socket, run directory or half-made thing of `home` is left, and that its state database is empty. */
export async function assertNothingLeft(home: string): Promise<void> {
  const left = () => ({
    processes: processesOf(home).map(({ commandLine }) => commandLine.slice(0, 200)),
    runDirectories: runDirectories(home),
    staged: listOrNone(join(home, "trash")),
    unfinished: unfinishedFiles(join(home, "cache")),
    sandboxes: listOrNone(join(home, "sandboxes")),
    mounts: mountsOf(home),
  });
  const nothing = {
    processes: [],
    runDirectories: [],
    staged: [],
    unfinished: [],
    sandboxes: [],
    mounts: [],
  };
  await eventually(() => assert.deepEqual(left(), nothing), GONE_TIMEOUT_MS);
}

/** What is mounted in a home, or from a file of it. */
export function mountsOf(home: string): string[] {
  return readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .filter((line) => line.includes(home) || line.includes(runRoot(home)));
}

/** Repeats `check` until it passes; after `timeoutMs`, throws what it threw last. */
export async function eventually(check: () => unknown, timeoutMs: number = GONE_TIMEOUT_MS): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    try {
      await check();
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
    }
    await delay(POLL_MS);
  }
}

/** SIGKILLs what still works for a home. For the wreck that a failed test leaves. */
export function killProcessesOf(home: string): void {
  for (const { pid } of processesOf(home)) kill(pid);
}

/** SIGKILLs a process, if it is there. */
export function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // gone already
  }
}

/** Files of a cache that are not whole: those of its working directories, and those with a temporary name. */
function unfinishedFiles(directory: string): string[] {
  return listOrNone(directory).flatMap((name) => {
    const path = join(directory, name);
    if (lstatSync(path).isDirectory()) return unfinishedFiles(path);
    const isUnfinished = path.includes("/cache/work/") || /[.~-](?:tmp|partial)/.test(name);
    return isUnfinished ? [path] : [];
  });
}

function listOrNone(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return []; // never made
  }
}
