/**
 * Mounts of this machine's directories in the guest. Most sandboxes have none, and the modules that serve them take long to
 * load, so they are loaded for the first.
 *
 * @module
 */
import type { StateStore } from "../../state/state_store.ts";
import type { MountRequest } from "../host_protocol.ts";
import type { Mounts } from "./mounts.ts";
import type { RelayMounts } from "./relay_mounts.ts";

/** See the module. */
export class MountService implements RelayMounts {
  readonly #socketPath: string;
  readonly #state: StateStore;
  #loading: Promise<Mounts> | undefined;

  /** @param socketPath Where this process listens for clients. */
  constructor(socketPath: string, state: StateStore) {
    this.#socketPath = socketPath;
    this.#state = state;
  }

  /** Serves a directory of this machine, read-only, to the process that connects to `listenPath`. @throws {MicrosandboxError} */
  async serveRoot(source: string, listenPath: string): Promise<void> {
    await (await this.#mounts()).serveRoot(source, listenPath);
  }

  /** Mounts, one after the other. @throws {MicrosandboxError} */
  async open(mounts: readonly MountRequest[]): Promise<void> {
    if (mounts.length > 0) await (await this.#mounts()).open(mounts);
  }

  /** Unmounts what is mounted at `target`. @throws {MicrosandboxError} */
  async remove(target: string): Promise<void> {
    await (await this.#mounts()).remove(target);
  }

  #mounts(): Promise<Mounts> {
    this.#loading ??= import("./mounts.ts").then(({ Mounts }) => new Mounts(this.#socketPath, this.#state));
    return this.#loading;
  }
}
