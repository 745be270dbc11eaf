/**
 * The directory of a sandbox to come, with its writable disk: made while the VM host process starts, put in place in
 * one step once the name is ours.
 *
 * @module
 */
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { homePaths } from "../../platform/home.ts";
import { stagingPath } from "../../platform/staging.ts";
import type { BootKey, StateStore } from "../../state/state_store.ts";
import { sandboxDirectory, setAside, sweepLost, UPPER_NAME } from "./sandbox_directories.ts";

export class StagedDisk implements AsyncDisposable {
  readonly #state: StateStore;
  readonly #path: string;
  readonly #made: Promise<void>;

  /** Begins at once; what `make` throws is thrown by {@linkcode place}. */
  constructor(state: StateStore, make: (path: string) => Promise<void>) {
    this.#state = state;
    this.#path = stagingPath(state.home);
    mkdirSync(this.#path, { mode: 0o700 });
    this.#made = make(join(this.#path, UPPER_NAME));
    this.#made.catch(() => {}); // place() shows it, if it comes to that
  }

  /** Moves the directory to where the sandbox called `name` has it. @throws {SandboxNotFoundError} if it is not ours. */
  async place(key: BootKey, name: string): Promise<void> {
    await this.#made;
    const place = sandboxDirectory(this.#state.home, name);
    mkdirSync(homePaths(this.#state.home).sandboxes, { recursive: true, mode: 0o700 });
    let displaced: string | undefined;
    this.#state.whileClaimed(key, () => {
      displaced = setAside(this.#state.home, name);
      renameSync(this.#path, place);
    });
    if (displaced !== undefined) this.#tellOf(displaced, key, name);
  }

  #tellOf(directory: string, key: BootKey, name: string): void {
    this.#state.note(key, [{ action: "displaced", attributes: { directory } }]);
    process.emitWarning(
      `a disk of an unknown sandbox called ${JSON.stringify(name)} was found and moved to ${directory}`,
      { code: "MSB_DISK_DISPLACED" },
    );
    sweepLost(this.#state.home);
  }

  /** Removes what was not put in place. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#made.catch(() => {});
    rmSync(this.#path, { recursive: true, force: true });
  }
}
