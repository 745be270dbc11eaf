/**
 * What is mounted in a running sandbox.
 *
 * @module
 */

import { MountFlag } from "../../agent/protocol.ts";
import type { BackendSandbox } from "../../backend/backend.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import type { FileSystemProvider } from "../../mount/provider.ts";
import { ServedMount } from "../../mount/serve.ts";
import {
  checkMount,
  checkMountTarget,
  defaultOwner,
  type MountLocks,
  type MountOptions,
  memoryBytes,
} from "../../options/mount_options.ts";
import type { VolumeRequest } from "../../options/volume_options.ts";

/** How a file system of this process is mounted. */
export interface ProviderMountOptions {
  /** Whether every change is refused, whatever the guest does. @default {false} */
  readonly readonly?: boolean | undefined;
  /** Whether programs in it cannot be run. @default {false} */
  readonly noExec?: boolean | undefined;
  /**
   * Whether locks are asked of the provider's open files (`"host"`), which need the methods `lock` and `testLock`, or hold among the
   * programs of the sandbox.
   *
   * @default {"guest"}
   */
  readonly locks?: MountLocks | undefined;
}

/** Mounts that come and go while a sandbox runs: `sandbox.mounts`. They end with the sandbox, at the latest. */
export class SandboxMounts {
  readonly #sandbox: BackendSandbox;
  readonly #user: string | undefined;
  /** Those that this process serves. */
  readonly #served = new Map<string, ServedMount>();

  /** @internal */
  constructor(sandbox: BackendSandbox, user: string | undefined) {
    this.#sandbox = sandbox;
    this.#user = user;
  }

  /**
   * Mounts at `target`, an absolute path in the sandbox that is made if it is missing. `what` is a directory or file of the
   * machine that runs the sandbox, a volume of the kind directory, a file system in the guest's memory, or a file system of
   * this process: a `MemoryFileSystem`, or an object of your own. What this process serves fails with EIO in the guest once the process is
   * gone.
   *
   * @throws {InvalidConfigError} for a target or an option that cannot be, before anything happens.
   * @throws {MountFailedError} if the sandbox refuses it.
   * @throws {SandboxNotRunningError}
   *
   * @example
   * ```ts
   * import { MemoryFileSystem, Sandbox } from "microsandbox";
   *
   * await using sandbox = await Sandbox.builder("mounted").image("./rootfs").replace().create();
   * const files = new MemoryFileSystem({ "input.txt": "hello" });
   * await sandbox.mounts.add("/shared", files);
   * await sandbox.shell("tr a-z A-Z < /shared/input.txt > /shared/output.txt");
   * console.log(files.readText("/output.txt"));
   * await sandbox.mounts.remove("/shared");
   * ```
   */
  async add(
    target: string,
    what: MountOptions | FileSystemProvider,
    options: ProviderMountOptions = {},
  ): Promise<void> {
    if (isProvider(what)) return await this.#serve(checkMountTarget(target), what, options);
    const { mount, volume } = checkMount(target, what);
    if (mount.kind === "disk") {
      const problem = "must not be a disk: a VM gets its disks at its start, so give it to create()";
      throw new InvalidConfigError([{ field: "mount", problem }]);
    }
    const source = volume === undefined ? undefined : await this.#directoryOf(volume);
    const { uid, gid } = (mount.kind === "tmpfs" ? undefined : mount.owner) ?? defaultOwner(this.#user);
    const client = await this.#sandbox.connect();
    await client.addMount({
      target: mount.target,
      flags:
        (mount.readonly ? MountFlag.readonly : 0) |
        (mount.noExec ? MountFlag.noExec : 0) |
        (mount.kind !== "tmpfs" && mount.watch === true ? MountFlag.watch : 0) |
        (mount.kind !== "tmpfs" && mount.locks !== "guest" ? MountFlag.locks : 0) |
        (mount.kind === "tmpfs" ? MountFlag.memory : 0),
      source: mount.kind === "bind" ? mount.source : (source ?? ""),
      memoryBytes: mount.kind === "tmpfs" ? memoryBytes(mount) : 0,
      uid,
      gid,
    });
  }

  /**
   * Unmounts what was mounted at `target`.
   *
   * @throws {MountFailedError} while programs use it, if nothing is mounted there, or for a `tmpfs`, which stays until the
   * sandbox stops.
   */
  async remove(target: string): Promise<void> {
    const path = checkMountTarget(target);
    const served = this.#served.get(path);
    if (served !== undefined) return await served.unmount();
    await (await this.#sandbox.connect()).removeMount(path);
  }

  /** Where the files of a volume are. Disks are given to a VM when it boots. */
  async #directoryOf(request: VolumeRequest): Promise<string> {
    const { name, kind, path } = await this.#sandbox.backend.volumes.obtain(request);
    if (kind === "directory") return path;
    const problem = `the volume ${JSON.stringify(name)} is a disk, which can be mounted with the creation of a sandbox only`;
    throw new InvalidConfigError([{ field: "mount", problem }]);
  }

  async #serve(target: string, provider: FileSystemProvider, options: ProviderMountOptions): Promise<void> {
    if (this.#served.has(target))
      throw new InvalidConfigError([{ field: "target", problem: `${target} is mounted already` }]);
    const { readonly: isReadonly = false, noExec: isNoExec = false, locks = "guest" } = options;
    const hasLocks = locks === "host";
    const client = await this.#sandbox.connect();
    const isWatched = provider.watch !== undefined;
    const session = client.openMount({ target, isReadonly, isNoExec, isWatched: isWatched || hasLocks });
    const mount = new ServedMount(target, session, provider, {
      isReadonly,
      watch: isWatched,
      locks: hasLocks,
    });
    await mount.mounted;
    this.#served.set(target, mount);
    mount.ended.then(() => this.#served.delete(target));
  }
}

/** Whether it is a file system of this process, and not options of a mount. */
export function isProvider(value: unknown): value is FileSystemProvider {
  if (typeof value !== "object" || value === null) return false;
  return ["attributes", "list", "open"].every(
    (name) => typeof (value as Readonly<Record<string, unknown>>)[name] === "function",
  );
}
