/**
 * Directories of this machine in the guest. They are served in a Worker, so that a slow disk never holds up anything else, and
 * by a connection to this process like any client's. Most sandboxes have none, and load nothing of it.
 *
 * @module
 */
import { realpathSync } from "node:fs";
import { InternalError, MicrosandboxError } from "../../base/errors.ts";
import type { StateStore } from "../../state/state_store.ts";
import { exposesHome, homeProblem } from "../../volume/volume_place.ts";
import type { MountRequest } from "../host_protocol.ts";
import type { MountWorkerMessage, MountWorkerRequest } from "./mount_messages.ts";
import { holdVolume, settleVolume } from "./volume_holds.ts";

/** How long a mount may take to come or to go. */
const MOUNT_TIMEOUT_MS = 60_000;

/** What is mounted in one sandbox. */
export class Mounts {
  readonly #socketPath: string;
  readonly #state: StateStore;
  /** What keeps the volumes that are mounted from being removed, by target. */
  readonly #holds = new Map<string, Disposable>();
  readonly #waiting = new Map<number, PromiseWithResolvers<void>>();
  #worker: Worker | undefined;
  #nextToken = 1;

  /** @param socketPath Where this process listens for clients. */
  constructor(socketPath: string, state: StateStore) {
    this.#socketPath = socketPath;
    this.#state = state;
  }

  /** Serves a directory of this machine, read-only, to the process that connects to `listenPath`. @throws {MicrosandboxError} */
  async serveRoot(source: string, listenPath: string): Promise<void> {
    await this.#ask({ type: "root", source, listenPath });
  }

  /** Mounts, one after the other. @throws {MicrosandboxError} */
  async open(mounts: readonly MountRequest[]): Promise<void> {
    for (const mount of mounts) await this.#open(mount);
  }

  async #open(mount: MountRequest): Promise<void> {
    if ("source" in mount && exposesHome(this.#state.home, mount.source, mount.isReadonly))
      throw new MicrosandboxError("mountFailed", homeProblem(mount.source));
    const hold = "source" in mount ? holdVolume(this.#state, mount.source) : undefined;
    try {
      await this.#ask({ type: "mount", mount });
    } catch (error) {
      hold?.[Symbol.dispose]();
      throw error;
    }
    if (hold === undefined || !("source" in mount)) return;
    this.#holds.set(mount.target, hold);
    settleVolume(this.#state, mount.source);
  }

  /** Unmounts what is mounted at `target`. @throws {MicrosandboxError} EBUSY while programs use it. */
  async remove(target: string): Promise<void> {
    await this.#ask({ type: "unmount", target });
    this.#holds.get(target)?.[Symbol.dispose]();
    this.#holds.delete(target);
  }

  async #ask(request: DistributiveOmit<MountWorkerRequest, "token" | "socketPath" | "home">): Promise<void> {
    const token = this.#nextToken++;
    const answer = Promise.withResolvers<void>();
    this.#waiting.set(token, answer);
    const timer = setTimeout(
      () => answer.reject(new MicrosandboxError("mountFailed", `No answer in ${MOUNT_TIMEOUT_MS} ms`)),
      MOUNT_TIMEOUT_MS,
    );
    try {
      const [socketPath, home] = [this.#socketPath, realpathSync(this.#state.home)];
      this.#thread().postMessage({ ...request, token, socketPath, home } as MountWorkerRequest);
      await answer.promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(token);
    }
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL("./mount_worker.ts", import.meta.url).href, { type: "module" });
    worker.onmessage = ({ data }: MessageEvent<MountWorkerMessage>) => {
      const answer = this.#waiting.get(data.token);
      if (data.type === "done") answer?.resolve();
      else answer?.reject(new MicrosandboxError("mountFailed", data.message));
    };
    worker.onerror = (event) => {
      event.preventDefault(); // Deno would end the process
      const error = new InternalError(`The Worker that serves mounts failed: ${event.message}`);
      for (const answer of this.#waiting.values()) answer.reject(error);
      this.#worker = undefined; // its mounts answer with EIO from now on
    };
    this.#worker = worker;
    return worker;
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;
