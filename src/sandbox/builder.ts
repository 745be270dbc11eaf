/**
 * Builds `SandboxOptions` step by step, with the method names of the official microsandbox SDK.
 *
 * @module
 */

import type { BootCallOptions } from "../backend/backend.ts";
import { withoutUndefined } from "../base/defined.ts";
import type { EngineChoice } from "../base/engine_name.ts";
import type { RegistryOptions } from "../image/oci/registry_client.ts";
import type { PullPolicy } from "../image/store/pull.ts";
import type { NetworkMode } from "../network/network_plan.ts";
import type { NetworkOptions, PortOptions } from "../options/network_options.ts";
import type { RlimitOptions } from "../options/rlimits.ts";
import type { SandboxOptions } from "../options/sandbox_options.ts";
import type { SecretOptions } from "../options/secret_options.ts";
import { configured } from "./configured.ts";
import { ImageBuilder } from "./image_builder.ts";
import { MountBuilder } from "./mounts/mount_builder.ts";
import { NetworkBuilder } from "./network/network_builder.ts";
import { type OutboundProxyBuilder, outboundProxyIsUnsupported } from "./network/part_builders.ts";
import { joinSecrets, SecretBuilder, withSecrets } from "./network/secret_builder.ts";
import type { Patch } from "./patches/patch.ts";
import { PatchBuilder } from "./patches/patch_builder.ts";
import { PullProgressCreate } from "./pull_progress_create.ts";
import { RootDiskBuilder } from "./root_disk_builder.ts";
import { Sandbox } from "./sandbox.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Collects the options of a new sandbox. Options are checked, and anything happens, only in `create()`. Each method
 * changes the builder and returns it; a method that takes one value replaces the value given before.
 *
 * @example
 * ```ts
 * const sandbox = await Sandbox.builder("hello").image("./rootfs").cpus(1).memory(512).replace().create();
 * ```
 */
export class SandboxBuilder {
  readonly #options: Mutable<SandboxOptions>;
  #secrets: Readonly<Record<string, SecretOptions>> = {};
  #call: Pick<BootCallOptions, "registry" | "platform"> = {};

  /** The same as `Sandbox.builder(name)`. Without a name, one is made up: see {@linkcode SandboxOptions.name}. */
  constructor(name?: string) {
    this.#options = { name };
  }

  /** Sets the image: an OCI reference (`"alpine"`), or a path (`"./rootfs"`). See {@linkcode SandboxOptions.image}. */
  image(image: string): this {
    return this.#set("image", image);
  }

  /** Starts from the snapshot of that name instead of an image. See {@linkcode SandboxOptions.fromSnapshot}. */
  fromSnapshot(name: string): this {
    return this.#set("fromSnapshot", name);
  }

  /** Sets the number of virtual processors, 1 to 16. @default {1} */
  cpus(count: number): this {
    return this.#set("cpus", count);
  }

  /** Sets the memory in MiB. @default {512} */
  memory(sizeMiB: number): this {
    return this.#set("memoryMiB", sizeMiB);
  }

  /**
   * Mounts at `target`, an absolute path in the sandbox: `volume("/app", (m) => m.bind("./project"))`. See
   * {@linkcode SandboxOptions.mounts}.
   */
  volume(target: string, configure: (mount: MountBuilder) => MountBuilder): this {
    const mount = withoutUndefined(configured("volume", new MountBuilder(), configure).build());
    return this.#set("mounts", { ...this.#options.mounts, [target]: mount });
  }

  /**
   * Changes files of the new sandbox, once, before a program can run in it; adds to what was added before. See
   * {@linkcode SandboxOptions.patches}.
   *
   * @example
   * ```ts no-run: needs files of its own
   * const builder = Sandbox.builder("app").image("alpine")
   *   .patch((patch) => patch.text("/etc/greeting", "hi\n").copyFile("./conf", "/etc/app.conf").mkdir("/srv"));
   * ```
   */
  patch(configure: (patch: PatchBuilder) => PatchBuilder): this {
    return this.#addPatches(configured("patch", new PatchBuilder(), configure).build());
  }

  /** Adds one patch: see {@linkcode patch}. */
  addPatch(patch: Patch): this {
    return this.#addPatches([patch]);
  }

  /** Sets the image, and what is written over it: `imageWith((i) => i.oci("alpine").rootDisk((d) => d.tmpfs()))`. */
  imageWith(configure: (image: ImageBuilder) => ImageBuilder): this {
    const { image, rootDirectory, ...disk } = configured("imageWith", new ImageBuilder(), configure).build();
    if (image !== undefined) this.#set("image", image);
    if (rootDirectory !== undefined) this.#set("rootDirectory", rootDirectory);
    return Object.keys(disk).length === 0 ? this : this.#setRootDisk(disk);
  }

  /**
   * Sets the size of the writable disk in MiB, 4096 by default; or where writes go instead:
   * `rootDisk((d) => d.tmpfs().size(256))`, `rootDisk((d) => d.disk("./scratch.img"))`. See
   * {@linkcode SandboxOptions.rootDisk}.
   */
  rootDisk(disk: number | ((disk: RootDiskBuilder) => RootDiskBuilder)): this {
    return this.#setRootDisk(
      typeof disk === "number"
        ? { diskMiB: disk }
        : configured("rootDisk", new RootDiskBuilder(), disk).build(),
    );
  }

  /** Adds one environment variable for every program. */
  env(name: string, value: string): this {
    return this.envs({ [name]: value });
  }

  /** Adds environment variables for every program, to those added before. */
  envs(variables: Readonly<Record<string, string>>): this {
    return this.#set("env", { ...this.#options.env, ...variables });
  }

  /** Adds one label. */
  label(key: string, value: string): this {
    return this.labels({ [key]: value });
  }

  /** Adds labels, to those added before. */
  labels(labels: Readonly<Record<string, string>>): this {
    return this.#set("labels", { ...this.#options.labels, ...labels });
  }

  /** Sets the working directory of every program. @default the image's, else `/` */
  workdir(path: string): this {
    return this.#set("workdir", path);
  }

  /** Sets the user of every program: `name`, `uid`, `name:group` or `uid:gid`. @default the image's, else root */
  user(user: string): this {
    return this.#set("user", user);
  }

  /** Sets the program that `Sandbox.shell()` runs. @default {"/bin/sh"} */
  shell(path: string): this {
    return this.#set("shell", path);
  }

  /** Sets the host name of the guest. @default the sandbox's name */
  hostname(hostname: string): this {
    return this.#set("hostname", hostname);
  }

  /** Replaces the image's ENTRYPOINT. The image's CMD is then not used. */
  entrypoint(argv: Iterable<string>): this {
    return this.#set("entrypoint", [...argv]);
  }

  /** Replaces the image's CMD. */
  cmd(argv: Iterable<string>): this {
    return this.#set("cmd", [...argv]);
  }

  /** Limits one resource of every program, soft and hard limit alike; names as in setrlimit(2), e.g. `"nofile"`. */
  rlimit(resource: string, limit: number): this {
    return this.#setRlimit(resource, { soft: limit, hard: limit });
  }

  /** Limits one resource of every program, with a soft limit that programs may raise up to the hard one. */
  rlimitRange(resource: string, soft: number, hard: number): this {
    return this.#setRlimit(resource, { soft, hard });
  }

  /** Lets the sandbox outlive this process. @default {false}, without a call */
  detached(detached = true): this {
    return this.#set("detached", detached);
  }

  /** Replaces a sandbox of the same name, which gets 10 s to stop gracefully and is then killed. */
  replace(): this {
    return this.#set("replace", true);
  }

  /** {@linkcode replace} with another grace, in milliseconds; 0 kills at once. */
  replaceWithTimeout(graceMs: number): this {
    return this.#set("replace", { graceMs });
  }

  /** Older name of {@linkcode replaceWithTimeout}. */
  replaceWithGrace(graceMs: number): this {
    return this.replaceWithTimeout(graceMs);
  }

  /** Stops the sandbox after that many **seconds** (as in the official SDK). See {@linkcode SandboxOptions.maxDurationMs}. */
  maxDuration(seconds: number): this {
    return this.#set("maxDurationMs", Math.round(seconds * 1000));
  }

  /** Stops the sandbox after that many **seconds** without use. See {@linkcode SandboxOptions.idleTimeoutMs}. */
  idleTimeout(seconds: number): this {
    return this.#set("idleTimeoutMs", Math.round(seconds * 1000));
  }

  /**
   * Ends the sandbox as crashed when its agent has not answered for that many **seconds**; `null` never does. See
   * {@linkcode SandboxOptions.hangTimeoutMs}. @default {120}
   */
  hangTimeout(seconds: number | null): this {
    return this.#set("hangTimeoutMs", seconds === null ? null : Math.round(seconds * 1000));
  }

  /** Removes the sandbox as soon as it has ended. @default {false}, without a call */
  ephemeral(ephemeral = true): this {
    return this.#set("ephemeral", ephemeral);
  }

  /**
   * Sets the network: `"none"`, `"user"`, `"tap"`, an object, or what a function makes of a builder:
   * `network((n) => n.allow("api.example"))`. See {@linkcode SandboxOptions.network}. @default {"none"}
   */
  network(network: NetworkMode | NetworkOptions | ((network: NetworkBuilder) => NetworkBuilder)): this {
    return this.#set(
      "network",
      typeof network === "function" ? configured("network", new NetworkBuilder(), network).build() : network,
    );
  }

  /** Gives the sandbox no network, which is the default. */
  disableNetwork(): this {
    return this.network("none");
  }

  /** Adds a secret to the network, which is then of mode `user`. See {@linkcode UserNetworkOptions}. */
  secret(configure: (secret: SecretBuilder) => SecretBuilder): this {
    const { name, secret } = configured("secret", new SecretBuilder(), configure).build();
    this.#secrets = joinSecrets(this.#secrets, { [name]: secret });
    return this;
  }

  /** {@linkcode secret} by value, for one host. */
  secretEnv(name: string, value: string, allowedHost: string): this;
  /** {@linkcode secret} of that name: `secretEnv("GH_TOKEN", (secret) => secret.allowHost("api.example"))`. */
  secretEnv(name: string, configure: (secret: SecretBuilder) => SecretBuilder): this;
  /** Both of these. */
  secretEnv(
    name: string,
    value: string | ((secret: SecretBuilder) => SecretBuilder),
    allowedHost = "",
  ): this {
    return this.secret((secret) =>
      typeof value === "function"
        ? value(secret.env(name))
        : secret.env(name).value(value).allowHost(allowedHost),
    );
  }

  /** Not supported: connections use this machine's own sockets. @throws {UnsupportedError} always */
  proxy(_configure: (proxy: OutboundProxyBuilder) => unknown): this {
    throw outboundProxyIsUnsupported();
  }

  /** Publishes a TCP port of the sandbox at the host's loopback interface. See {@linkcode SandboxOptions.ports}. */
  port(hostPort: number, guestPort: number): this {
    return this.#addPort({ hostPort, guestPort });
  }

  /** {@linkcode port} at another address of the host; `"0.0.0.0"` and `"::"` stand for all of them. */
  portBind(bind: string, hostPort: number, guestPort: number): this {
    return this.#addPort({ bind, hostPort, guestPort });
  }

  /** {@linkcode port} for UDP. */
  portUdp(hostPort: number, guestPort: number): this {
    return this.#addPort({ hostPort, guestPort, protocol: "udp" });
  }

  /** {@linkcode portBind} for UDP. */
  portUdpBind(bind: string, hostPort: number, guestPort: number): this {
    return this.#addPort({ bind, hostPort, guestPort, protocol: "udp" });
  }

  /** Sets when to pull an image that is not a path. @default {"if-missing"} */
  pullPolicy(policy: PullPolicy): this {
    return this.#set("pullPolicy", policy);
  }

  /** Sets how to reach the image's registry: credentials, plain HTTP, certificate authorities. Not stored. */
  registry(options: RegistryOptions): this {
    this.#call = { ...this.#call, registry: options };
    return this;
  }

  /** Sets the platform of the image, e.g. `"linux/amd64"`. @default Linux on this machine's processor */
  platform(platform: string): this {
    this.#call = { ...this.#call, platform };
    return this;
  }

  /** Sets the engine that runs the VM. @default {process.env.MSB_ENGINE ?? "auto"} */
  engine(engine: EngineChoice): this {
    return this.#set("engine", engine);
  }

  /** Sets how many milliseconds the VM may take to come up. @default {180_000} */
  bootTimeout(timeoutMs: number): this {
    return this.#set("bootTimeoutMs", timeoutMs);
  }

  /** Returns the options collected so far, unchecked. */
  build(): SandboxOptions {
    if (Object.keys(this.#secrets).length === 0) return { ...this.#options };
    return { ...this.#options, network: withSecrets(this.#options.network, this.#secrets) };
  }

  /** Boots the sandbox; resolves when its agent answers. For the errors, see `Sandbox.create()`. */
  create(options: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.create(this.build(), { ...this.#call, ...options });
  }

  /** {@linkcode create} that also reports the progress of the pull, as events. */
  createWithPullProgress(options: BootCallOptions = {}): PullProgressCreate {
    return new PullProgressCreate((call) => this.create({ ...options, ...call }));
  }

  /**
   * Connects to the sandbox of that name, starting it if it does not run; creates it if it does not exist. See
   * `Sandbox.connectOrCreate()`.
   */
  connectOrCreate(options: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.connectOrCreate(this.build(), { ...this.#call, ...options });
  }

  /** {@linkcode create} for a sandbox that outlives this process. */
  createDetached(options: BootCallOptions = {}): Promise<Sandbox> {
    return this.detached().create(options);
  }

  /** Sets one of both, and drops what was set before. */
  #setRootDisk({ diskMiB, rootDisk }: Pick<SandboxOptions, "diskMiB" | "rootDisk">): this {
    delete this.#options.diskMiB;
    delete this.#options.rootDisk;
    if (diskMiB !== undefined) this.#set("diskMiB", diskMiB);
    return rootDisk === undefined ? this : this.#set("rootDisk", withoutUndefined(rootDisk));
  }

  #set<K extends keyof SandboxOptions>(name: K, value: SandboxOptions[K]): this {
    Object.assign(this.#options, { [name]: value });
    return this;
  }

  #addPatches(patches: readonly Patch[]): this {
    return this.#set("patches", [...(this.#options.patches ?? []), ...patches]);
  }

  #addPort(port: PortOptions): this {
    return this.#set("ports", [...(this.#options.ports ?? []), port]);
  }

  #setRlimit(resource: string, limit: RlimitOptions): this {
    return this.#set("rlimits", { ...this.#options.rlimits, [resource]: limit });
  }
}
