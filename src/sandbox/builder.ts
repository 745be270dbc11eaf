/**
 * The fluent way to say what `SandboxOptions` says, with the names that users of the microsandbox SDK know.
 *
 * @module
 */

import type { BootCallOptions } from "../backend/backend.ts";
import type { RegistryOptions } from "../image/oci/registry_client.ts";
import type { NetworkMode } from "../network/network_plan.ts";
import type { NetworkOptions, PortOptions } from "../options/network_options.ts";
import type { RlimitOptions, SandboxOptions } from "../options/sandbox_options.ts";
import { PullProgressCreate } from "./pull_progress_create.ts";
import { Sandbox } from "./sandbox.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Collects options; nothing happens and nothing is checked before `create()`.
 *
 * @example
 * ```ts
 * const sandbox = await Sandbox.builder("hello").image("./rootfs").cpus(1).memory(512).replace().create();
 * ```
 */
export class SandboxBuilder {
  readonly #options: Mutable<Partial<SandboxOptions>>;
  readonly #name: string;
  #call: Pick<BootCallOptions, "registry" | "platform"> = {};

  /** The same as `Sandbox.builder(name)`. */
  constructor(name: string) {
    this.#name = name;
    this.#options = {};
  }

  /** See {@linkcode SandboxOptions.image}. */
  image(image: string): this {
    return this.#set("image", image);
  }

  /** The name of a snapshot to begin with, instead of an image: see {@linkcode SandboxOptions.fromSnapshot}. */
  fromSnapshot(name: string): this {
    return this.#set("fromSnapshot", name);
  }

  /** Virtual processors. @default {1} */
  cpus(count: number): this {
    return this.#set("cpus", count);
  }

  /** Memory in MiB. @default {512} */
  memory(sizeMiB: number): this {
    return this.#set("memoryMiB", sizeMiB);
  }

  /** Size of the writable disk in MiB. @default {4096} */
  rootDisk(sizeMiB: number): this {
    return this.#set("diskMiB", sizeMiB);
  }

  /** One variable of every program. */
  env(name: string, value: string): this {
    return this.envs({ [name]: value });
  }

  envs(variables: Readonly<Record<string, string>>): this {
    return this.#set("env", { ...this.#options.env, ...variables });
  }

  label(key: string, value: string): this {
    return this.labels({ [key]: value });
  }

  labels(labels: Readonly<Record<string, string>>): this {
    return this.#set("labels", { ...this.#options.labels, ...labels });
  }

  /** Working directory of every program. */
  workdir(path: string): this {
    return this.#set("workdir", path);
  }

  user(user: string): this {
    return this.#set("user", user);
  }

  /** What `shell()` runs. @default {"/bin/sh"} */
  shell(path: string): this {
    return this.#set("shell", path);
  }

  hostname(hostname: string): this {
    return this.#set("hostname", hostname);
  }

  entrypoint(argv: Iterable<string>): this {
    return this.#set("entrypoint", [...argv]);
  }

  cmd(argv: Iterable<string>): this {
    return this.#set("cmd", [...argv]);
  }

  /** Soft and hard limit of one resource alike. */
  rlimit(resource: string, limit: number): this {
    return this.#setRlimit(resource, { soft: limit, hard: limit });
  }

  rlimitRange(resource: string, soft: number, hard: number): this {
    return this.#setRlimit(resource, { soft, hard });
  }

  /** Whether the sandbox outlives this process. */
  detached(detached = true): this {
    return this.#set("detached", detached);
  }

  /** Takes the place of a sandbox of the same name, which gets 10 s to stop in order. */
  replace(): this {
    return this.#set("replace", true);
  }

  /** Like {@linkcode replace} with another grace, in milliseconds; 0 kills at once. */
  replaceWithTimeout(graceMs: number): this {
    return this.#set("replace", { graceMs });
  }

  /** The older name of {@linkcode replaceWithTimeout}. */
  replaceWithGrace(graceMs: number): this {
    return this.replaceWithTimeout(graceMs);
  }

  /** Stops the sandbox after so many **seconds**, as the known SDK has it. See {@linkcode SandboxOptions.maxDurationMs}. */
  maxDuration(seconds: number): this {
    return this.#set("maxDurationMs", Math.round(seconds * 1000));
  }

  /** Stops the sandbox after so many **seconds** without use. See {@linkcode SandboxOptions.idleTimeoutMs}. */
  idleTimeout(seconds: number): this {
    return this.#set("idleTimeoutMs", Math.round(seconds * 1000));
  }

  /** Ends the sandbox as crashed after so many **seconds** without an answer. See {@linkcode SandboxOptions.hangTimeoutMs}. */
  hangTimeout(seconds: number | null): this {
    return this.#set("hangTimeoutMs", seconds === null ? null : Math.round(seconds * 1000));
  }

  /** Whether the sandbox is removed as soon as it has ended. */
  ephemeral(ephemeral = true): this {
    return this.#set("ephemeral", ephemeral);
  }

  /** See {@linkcode SandboxOptions.network}. */
  network(network: NetworkMode | NetworkOptions): this {
    return this.#set("network", network);
  }

  /** No network device: the default. */
  disableNetwork(): this {
    return this.network("none");
  }

  /** A TCP port of the host's loopback interface that leads to one of the sandbox. See {@linkcode SandboxOptions.ports}. */
  port(hostPort: number, guestPort: number): this {
    return this.#addPort({ hostPort, guestPort });
  }

  /** {@linkcode port} at another address of the host: `"0.0.0.0"` and `"::"` are all of them. */
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

  pullPolicy(policy: "always" | "if-missing" | "never"): this {
    return this.#set("pullPolicy", policy);
  }

  /** Credentials, plain HTTP or further authorities for the image's registry. Not stored with the sandbox. */
  registry(options: RegistryOptions): this {
    this.#call = { ...this.#call, registry: options };
    return this;
  }

  /** Platform of the image, e.g. `"linux/amd64"`. */
  platform(platform: string): this {
    this.#call = { ...this.#call, platform };
    return this;
  }

  engine(engine: "auto" | "krun" | "qemu"): this {
    return this.#set("engine", engine);
  }

  bootTimeout(timeoutMs: number): this {
    return this.#set("bootTimeoutMs", timeoutMs);
  }

  /** The options as collected so far. */
  build(): Partial<SandboxOptions> & { readonly name: string } {
    return { ...this.#options, name: this.#name };
  }

  /**
   * Boots the sandbox; resolves when its agent answers. Errors: see `Sandbox.create()`.
   */
  create(options: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.create(this.#required(), { ...this.#call, ...options });
  }

  /** Like {@linkcode create}, with the progress of the pull as events beside the sandbox to come. */
  createWithPullProgress(options: BootCallOptions = {}): PullProgressCreate {
    return new PullProgressCreate((call) => this.create({ ...options, ...call }));
  }

  /**
   * Connects to the sandbox of that name, starts it if it does not run, or creates it if there is none. See
   * `Sandbox.connectOrCreate()`.
   */
  connectOrCreate(options: BootCallOptions = {}): Promise<Sandbox> {
    return Sandbox.connectOrCreate(this.#required(), { ...this.#call, ...options });
  }

  /** Like {@linkcode create}, for a sandbox that outlives this process. */
  createDetached(options: BootCallOptions = {}): Promise<Sandbox> {
    return this.detached().create(options);
  }

  /** An image that was never set is refused with the other bad options, by its field's name. */
  #required(): SandboxOptions {
    return { image: "", ...this.build() };
  }

  #set<K extends keyof SandboxOptions>(name: K, value: SandboxOptions[K]): this {
    Object.assign(this.#options, { [name]: value });
    return this;
  }

  #addPort(port: PortOptions): this {
    return this.#set("ports", [...(this.#options.ports ?? []), port]);
  }

  #setRlimit(resource: string, limit: RlimitOptions): this {
    return this.#set("rlimits", { ...this.#options.rlimits, [resource]: limit });
  }
}
