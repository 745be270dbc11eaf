/**
 * Tells other processes that the state has changed: a byte is written to a file whose directory they watch. The database
 * itself cannot be watched, see `open_database.ts`.
 *
 * A notice is best effort. Followers also look once in a while, so that one that cannot be given delays them only.
 *
 * @module
 */
import { closeSync, constants, mkdirSync, openSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { type DirectoryWatch, watchDirectory } from "../platform/file_watch.ts";
import { homePaths } from "../platform/home.ts";

/** Always written over the same byte: the file does not grow, and a full disk has room for it. */
const MARK = new Uint8Array([0x0a]);
const { O_WRONLY, O_CREAT, O_NOFOLLOW } = constants;

/** The notices of one home. */
export class ChangeNotice implements Disposable {
  readonly #path: string;
  /** Opened by the first notice, as most processes give none. */
  #file: number | undefined;

  constructor(home: string) {
    this.#path = homePaths(home).changes;
  }

  /** Wakes all that watch, in whichever process. To be called after the commit, which readers could otherwise miss. */
  post(): void {
    try {
      this.#file ??= this.#open();
      writeSync(this.#file, MARK, 0, MARK.length, 0);
    } catch {
      // followers look by themselves, a little later
    }
  }

  watch(): DirectoryWatch {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    return watchDirectory(dirname(this.#path));
  }

  #open(): number {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    return openSync(this.#path, O_WRONLY | O_CREAT | O_NOFOLLOW, 0o600);
  }

  [Symbol.dispose](): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
