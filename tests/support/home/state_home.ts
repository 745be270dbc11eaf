/**
 * A home with a state database in it and no VM: rows are written as a VM host process would.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { ownProcess, type ProcessIdentity } from "../../../src/platform/process_identity.ts";
import { type BootKey, StateStore } from "../../../src/state/state_store.ts";
import { temporaryDirectory } from "../harness.ts";
import { runRoot } from "../processes.ts";
import { storedConfig } from "./stored_config.ts";

/** `MSB_HOME` while it lasts. */
export class StateHome implements Disposable {
  readonly state: StateStore;
  readonly path: string;
  readonly #directory = temporaryDirectory();
  readonly #before = process.env["MSB_HOME"];

  constructor() {
    this.path = join(this.#directory.path, "home");
    process.env["MSB_HOME"] = this.path;
    this.state = new StateStore(this.path);
  }

  /** Claims a name for a process that runs, so that nobody finds the sandbox crashed: this one, if not said. */
  create(
    name: string,
    options: {
      readonly host?: ProcessIdentity;
      readonly labels?: Readonly<Record<string, string>>;
      readonly config?: Readonly<Record<string, unknown>>;
      readonly runDirectory?: string | undefined;
    } = {},
  ): BootKey {
    return this.state.claimCreate({
      id: randomUUID(),
      name,
      configJson: storedConfig(name, options.config),
      imageDigest: "sha256:none",
      labels: options.labels ?? {},
      runDirectory: options.runDirectory ?? join(this.path, "no-run-directory"),
      host: options.host ?? ownProcess(),
    });
  }

  [Symbol.dispose](): void {
    this.state.close();
    if (this.#before === undefined) delete process.env["MSB_HOME"];
    else process.env["MSB_HOME"] = this.#before;
    rmSync(runRoot(this.path), { recursive: true, force: true });
    this.#directory[Symbol.dispose]();
  }
}
