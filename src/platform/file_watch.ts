/**
 * Notifications about changes in a directory. However many wait for the same directory, the process has one watcher on
 * it: on Linux, inotify instances are few (128 for each user by default).
 *
 * A watcher keeps its process alive, which only those who wait have reason to. So it sleeps once it has been idle for a
 * while, and is opened again by the next look. (To leave it open without a reference, `unref()`, makes programs hang at
 * their end on Deno 2.9.)
 *
 * A notification says no more than "look again"; several may come as one, and without a cause. One may also be missing
 * (network file systems, exhausted watchers), therefore every wait has a time limit.
 *
 * @module
 */
import { type FSWatcher, watch } from "node:fs";
import { resolve } from "node:path";

/** One user's hold on the watcher of a directory; released by `using`. */
export interface DirectoryWatch extends Disposable {
  /** Grows with each change. Read it before looking, and give it to {@linkcode changed}: no change slips between. */
  readonly version: number;
  /** Resolves when there was a change after `seenVersion`, when `timeoutMs` have passed, or when `signal` aborts. */
  changed(seenVersion: number, timeoutMs: number, signal: AbortSignal): Promise<void>;
}

/** How often waits end on their own where no watcher could be had. */
const POLL_WITHOUT_WATCHER_MS = 100;
/** Bun passes over a notification that comes within 2 ms of another: this long after each one, all look again. */
const ECHO_MS = 5;
/** Without a look or a wait for this long, the watcher is closed: how much longer a program may take to end. */
export const WATCHER_IDLE_MS = 1_000;

class SharedWatcher {
  version = 0;
  users = 0;
  readonly #directory: string;
  readonly #waiting = new Set<() => void>();
  #state: "asleep" | "awake" | "closed" = "asleep";
  #idle: ReturnType<typeof setTimeout> | undefined;
  #usedAtMs = 0;
  #watcher: FSWatcher | undefined;
  #echo: ReturnType<typeof setTimeout> | undefined;
  /** There was a notification since the echo was set up. */
  #needsEcho = false;

  constructor(directory: string) {
    this.#directory = directory;
    this.keepAwake();
  }

  get isWatching(): boolean {
    return this.#watcher !== undefined;
  }

  /** Changes from now on are noticed, until there has been no look and no wait for a while. */
  keepAwake(): void {
    if (this.#state === "closed") return;
    this.#usedAtMs = performance.now();
    this.#idle ??= setTimeout(() => this.#sleepIfIdle(), WATCHER_IDLE_MS);
    if (this.#state === "awake") return;
    this.#state = "awake";
    try {
      this.#watcher = watch(this.#directory, () => this.#notified());
      this.#watcher.on("error", () => this.#closeWatcher()); // e.g. the directory is gone: from now on we poll
    } catch {
      // out of watchers, or no such directory: waits poll instead
    }
  }

  /** Calls `wake` at the next change. */
  wait(wake: () => void): void {
    this.#waiting.add(wake);
    this.keepAwake();
  }

  leave(wake: () => void): void {
    if (this.#waiting.delete(wake)) this.keepAwake();
  }

  close(): void {
    this.#state = "closed";
    clearTimeout(this.#idle);
    this.#closeWatcher();
  }

  #sleepIfIdle(): void {
    this.#idle = undefined;
    if (this.#waiting.size > 0) return; // the last who leaves keeps it awake for a while
    const restMs = this.#usedAtMs + WATCHER_IDLE_MS - performance.now();
    if (restMs > 0) {
      this.#idle = setTimeout(() => this.#sleepIfIdle(), restMs);
      return;
    }
    this.#state = "asleep";
    this.#closeWatcher(); // counts as a change: who has read the version before will look again
  }

  #closeWatcher(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    clearTimeout(this.#echo);
    this.#echo = undefined;
    this.#wake();
  }

  #notified(): void {
    this.#wake();
    if (this.#echo === undefined) this.#startEcho();
    else this.#needsEcho = true;
  }

  #startEcho(): void {
    this.#needsEcho = false;
    this.#echo = setTimeout(() => {
      this.#echo = undefined;
      if (this.#needsEcho) this.#startEcho();
      this.#wake();
    }, ECHO_MS);
  }

  #wake(): void {
    this.version++;
    for (const wake of [...this.#waiting]) wake();
  }
}

const watchers = new Map<string, SharedWatcher>();

/** Watches `directory`, sharing the watcher with all other users in this process. Never fails: see the module comment. */
export function watchDirectory(directory: string): DirectoryWatch {
  const path = resolve(directory);
  const shared = watchers.get(path) ?? new SharedWatcher(path);
  watchers.set(path, shared);
  shared.users++;
  let released = false;
  return {
    get version() {
      if (!released) shared.keepAwake();
      return shared.version;
    },
    changed: (seenVersion, timeoutMs, signal) => changed(shared, seenVersion, timeoutMs, signal),
    [Symbol.dispose]() {
      if (released) return;
      released = true;
      shared.users--;
      if (shared.users > 0) return;
      shared.close();
      if (watchers.get(path) === shared) watchers.delete(path);
    },
  };
}

function changed(
  shared: SharedWatcher,
  seenVersion: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<void> {
  if (shared.version !== seenVersion || signal.aborted) return Promise.resolve();
  const limitMs = shared.isWatching ? timeoutMs : Math.min(timeoutMs, POLL_WITHOUT_WATCHER_MS);
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      shared.leave(wake);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, limitMs);
    shared.wait(wake);
    signal.addEventListener("abort", wake);
  });
}
