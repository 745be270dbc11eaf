/**
 * Unfinished work: a lock and a directory of the same name. The directory is removed when the work ends, also when it
 * fails; where the process died, whoever takes the lock next finds it and removes it.
 *
 * @module
 */
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { errnoOf, IoError } from "../../base/errors.ts";
import type { FileLocks, LockKind } from "./file_lock.ts";
import type { StorePaths } from "./store_paths.ts";

/** The kinds of locks under which files are made. */
export type WorkKind = Exclude<LockKind, "store">;

const WORK_KINDS: readonly WorkKind[] = ["source", "image", "blob"];
/** Keys become names of directories: base64url keeps every character. */
const NAME_PATTERN = /^(source|image|blob)-([A-Za-z0-9_-]+)$/;

export class Workspaces {
  readonly #paths: StorePaths;
  readonly #locks: FileLocks;

  constructor(paths: StorePaths, locks: FileLocks) {
    this.#paths = paths;
    this.#locks = locks;
  }

  /**
   * Runs `body` while this process alone works on `key`. What it puts into the directory it must move out.
   *
   * @param directory Called for the directory's path: it is made when first asked for, and empty.
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
        this.removeInterrupted(); // whoever starts work also sweeps the floor
        makeEmpty(path);
        isMade = true;
        return path;
      });
    } finally {
      if (isMade) rmSync(path, { recursive: true, force: true });
    }
  }

  /** Removes what processes left that died. Work that is going on is not touched. Gives how many were removed. */
  removeInterrupted(): number {
    let removed = 0;
    for (const name of listNames(this.#paths.work)) {
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

/** The names in a directory; none where there is no directory. */
export function listNames(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw new IoError(`list ${directory}`, directory, error);
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
