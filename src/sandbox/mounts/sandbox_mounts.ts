/**
 * What is mounted in a running sandbox.
 *
 * @module
 */

import { z } from "zod";
import { MountFlag } from "../../agent/protocol.ts";
import type { BackendSandbox } from "../../backend/backend.ts";
import { withoutUndefined } from "../../base/defined.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { parseConfig } from "../../base/parse_config.ts";
import type { FileSystemProvider } from "../../mount/provider.ts";
import { ServedMount } from "../../mount/serve.ts";
import {
  checkMount,
  checkMountTarget,
  defaultOwner,
  type MountConfig,
  type MountLocks,
  type MountOptions,
  memoryBytes,
} from "../../options/mount_options.ts";

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

const providerOptionsSchema = z.strictObject({
  readonly: z.boolean().optional(),
  noExec: z.boolean().optional(),
  locks: z.enum(["host", "guest"]).optional(),
});

/** What a file system of this process needs. */
const PROVIDER_METHODS = ["attributes", "list", "open"] as const satisfies (keyof FileSystemProvider)[];

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
   * @param options Of a file system of this process only; the others have theirs in `what`.
   * @throws {InvalidConfigError} for a target or an option that cannot be, before anything happens.
   * @throws {MountFailedError} if the sandbox refuses it. Nothing is left then, nor a volume that was to be made for it.
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
    options?: ProviderMountOptions,
  ): Promise<void> {
    if (isProvider(what, "mount")) return await this.#serve(checkMountTarget(target), what, options);
    if (options !== undefined) {
      const problem =
        "are for a file system of this process only: give them with what is mounted, { bind: path, readonly: true }";
      throw new InvalidConfigError([{ field: "options", problem }]);
    }
    const { mount, volume } = checkMount(target, what);
    if (mount.kind === "disk") {
      const problem = "must not be a disk: a VM gets its disks at its start, so give it to create()";
      throw new InvalidConfigError([{ field: "mount", problem }]);
    }
    if (volume === undefined) return await this.#add(mount, mount.kind === "bind" ? mount.source : "");
    if (volume.config.kind === "disk") throw diskVolume(volume.name);
    const { volumes } = this.#sandbox.backend;
    const obtained = await volumes.obtain(volume);
    if (obtained.volume.kind === "disk") throw diskVolume(volume.name);
    try {
      await this.#add(mount, obtained.volume.path);
    } catch (error) {
      if (obtained.isNew) await volumes.discard(obtained.volume);
      throw error;
    }
  }

  async #add(mount: Exclude<MountConfig, { readonly kind: "disk" }>, source: string): Promise<void> {
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
      source,
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

  async #serve(
    target: string,
    provider: FileSystemProvider,
    options: ProviderMountOptions = {},
  ): Promise<void> {
    const {
      readonly: isReadonly = false,
      noExec: isNoExec = false,
      locks = "guest",
    } = parseConfig(providerOptionsSchema, withoutUndefined(options), "options");
    if (this.#served.has(target))
      throw new InvalidConfigError([{ field: "target", problem: `${target} is mounted already` }]);
    const hidden = [...this.#served.keys()].find((other) => other.startsWith(`${target}/`));
    if (hidden !== undefined)
      throw new InvalidConfigError([{ field: "target", problem: `would hide what is mounted at ${hidden}` }]);
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

/**
 * Whether it is a file system of this process, and not options of a mount.
 *
 * @param field What it is called in errors.
 * @throws {InvalidConfigError} for an object that has only some of the methods.
 */
export function isProvider(value: unknown, field: string): value is FileSystemProvider {
  if (typeof value !== "object" || value === null) return false;
  const missing = PROVIDER_METHODS.filter(
    (name) => typeof (value as Readonly<Record<string, unknown>>)[name] !== "function",
  );
  if (missing.length > 0 && missing.length < PROVIDER_METHODS.length) {
    const problem = `must have the methods ${PROVIDER_METHODS.join(", ")} to be a file system; it has no ${missing.join(", ")}`;
    throw new InvalidConfigError([{ field, problem }]);
  }
  return missing.length === 0;
}

function diskVolume(name: string): InvalidConfigError {
  const problem = `the volume ${JSON.stringify(name)} is a disk, which can be mounted with the creation of a sandbox only`;
  return new InvalidConfigError([{ field: "mount", problem }]);
}
