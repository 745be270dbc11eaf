/**
 * Workspaces for unfinished work: a lock and a directory of the same name. The directory is removed when the work ends,
 * even if it fails. If the process dies, the next holder of the lock removes it.
 *
 * @module
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { IoError } from "../../base/errors.ts";
import { namesIfPresent } from "../../platform/if_present.ts";
import type { FileLocks, LockKind } from "./file_lock.ts";
import type { StorePaths } from "./store_paths.ts";

/** Kinds of locks under which files are made. */
export type WorkKind = Exclude<LockKind, "store">;

const WORK_KINDS: readonly WorkKind[] = ["source", "image", "blob"];
/** Directory names made of keys; base64url preserves every character. */
const NAME_PATTERN = /^(source|image|blob)-([A-Za-z0-9_-]+)$/;

export class Workspaces {
  readonly #paths: StorePaths;
  readonly #locks: FileLocks;

  constructor(paths: StorePaths, locks: FileLocks) {
    this.#paths = paths;
    this.#locks = locks;
  }

  /**
   * Runs `body` while only this process works on `key`. `body` must move its results out of the directory.
   *
   * @param directory Returns the path of an empty directory, which is created by the first call.
   */
  async run<T>(
    kind: WorkKind,
    key: string,
    signal: AbortSignal | undefined,
    body: (directory: () => string) => Promise<T>,
  ): Promise<T> {
    using _lock = await this.#locks.acquire(kind, key, "exclusive", signal);
    const path = join(this.#paths.work, `${kind}-${Buffer.from(key).toString("base64url")}`);
    let isMade = false;
    try {
      return await body(() => {
        if (isMade) return path;
        this.removeInterrupted(); // starting work also cleans up after dead processes
        makeEmpty(path);
        isMade = true;
        return path;
      });
    } finally {
      if (isMade) rmSync(path, { recursive: true, force: true });
    }
  }

  /** Removes what dead processes left. Work in progress is not touched. Returns the number of removed directories. */
  removeInterrupted(): number {
    let removed = 0;
    for (const name of namesIfPresent(this.#paths.work)) {
      const [, kind, encoded] = NAME_PATTERN.exec(name) ?? [];
      const workKind = WORK_KINDS.find((candidate) => candidate === kind);
      if (workKind === undefined || encoded === undefined) continue;
      const key = Buffer.from(encoded, "base64url").toString();
      using lock = this.#locks.tryAcquire(workKind, key, "exclusive");
      if (lock === undefined) continue;
      rmSync(join(this.#paths.work, name), { recursive: true, force: true });
      removed++;
    }
    return removed;
  }
}

function makeEmpty(path: string): void {
  try {
    rmSync(path, { recursive: true, force: true });
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new IoError(`create ${path}`, path, error);
  }
}
