/**
 * What a caller may ask of a new sandbox, checked once. Past this file a config is plain data, already true.
 *
 * @module
 */
import { totalmem } from "node:os";
import { z } from "zod";
import { MiB } from "../base/bytes.ts";
import { withoutUndefined } from "../base/defined.ts";
import { ENGINE_NAMES, type EngineChoice } from "../base/engine_name.ts";
import { messageOf } from "../base/errors.ts";
import { parseConfig } from "../base/parse_config.ts";
import { TIMER_MS_MAX } from "../base/wait.ts";
import type { PullPolicy } from "../image/store/pull.ts";
import type { NetworkMode } from "../network/network_plan.ts";
import type { PublishedPort } from "../network/published_port.ts";
import { DatabaseError } from "../state/errors.ts";
import { checkCounts, envSchema, noNul } from "./env.ts";
import { type ImageDefaults, storedImageDefaultsSchema } from "./image_defaults.ts";
import { LABEL_KEY_LENGTH_MAX, LABEL_VALUE_LENGTH_MAX } from "./labels.ts";
import {
  checkMounts,
  type MountConfig,
  type MountOptions,
  mountSchema,
  storedMountsSchema,
  volumeRequests,
} from "./mount_options.ts";
import { hostnameOf, inventName, nameSchema } from "./names.ts";
import {
  type CheckedNetwork,
  checkNetwork,
  type NetworkOptions,
  networkSchema,
  type PortOptions,
  portsSchema,
  type StoredNetwork,
  secretsOf,
  storedNetworkSchema,
} from "./network_options.ts";
import { checkOrigin } from "./origin.ts";
import { checkPatches, type Patch, patchesSchema } from "./patch_options.ts";
import { formatRlimit, type RlimitOptions, rlimitsSchema, storedRlimitSchema } from "./rlimits.ts";
import { checkRoot } from "./root.ts";
import {
  type RootDiskConfig,
  type RootDiskOptions,
  rootDiskSchema,
  storedRootDiskSchema,
} from "./root_disk.ts";
import { withPlaceholders } from "./secret_options.ts";
import type { VolumeRequest } from "./volume_options.ts";

/** libkrun's kernels are built for 16 processors. */
export const CPUS_MAX = 16;
export const MEMORY_MIB_MIN = 64;
/** On x86, memory of this size would end inside the window of the virtio devices: such a VM does not boot. */
const MEMORY_HOLE_MIB = { first: 3291, last: 3328 } as const;

/** Options of `Sandbox.create()`; `Sandbox.builder()` sets the same ones. */
export interface SandboxOptions {
  /**
   * 1 to 128 bytes of letters, digits, `.`, `_` and `-`; the first a letter or digit. Unique in a home.
   *
   * @default `sandbox-` and 12 random hexadecimal digits; `Sandbox.name` has it
   */
  readonly name?: string | undefined;
  /** An OCI reference (`"alpine"`), or a path (`"./rootfs"`, `"./rootfs.tar.gz"`, `"./image.tar"`). */
  readonly image?: string | undefined;
  /**
   * A directory of this machine to use directly, instead of `image`: no image is made of it, and its changes are seen in
   * the sandbox. The sandbox does not change it; its writes go to its own disk.
   */
  readonly rootDirectory?: string | undefined;
  /**
   * The name of a snapshot, instead of `image`: the sandbox begins with a copy of its disk, over its image. `diskMiB` is
   * then the snapshot's.
   */
  readonly fromSnapshot?: string | undefined;
  /** Virtual processors, 1 to 16. @default {1} */
  readonly cpus?: number | undefined;
  /** Memory in MiB, from 64 to what the host has. @default {512} */
  readonly memoryMiB?: number | undefined;
  /** Size of the writable disk in MiB. It takes space only as it is written. @default {4096} */
  readonly diskMiB?: number | undefined;
  /**
   * Where writes go instead: memory (`{ tmpfs: true, sizeMiB: 256 }`), which is lost once the sandbox has stopped;
   * or a disk image of this machine (`{ disk: "./scratch.img" }`), which outlives it. @default a disk of `diskMiB`
   */
  readonly rootDisk?: RootDiskOptions | undefined;
  /** Variables of every program, over the image's. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Working directory of every program. @default the image's, else `/` */
  readonly workdir?: string | undefined;
  /** User of every program: `name`, `uid`, `name:group` or `uid:gid`. @default the image's, else root */
  readonly user?: string | undefined;
  /** What `shell()` runs. @default {"/bin/sh"} */
  readonly shell?: string | undefined;
  /** Host name of the guest: 1 to 64 letters, digits, `.` and `-`. @default the name, shortened if it is too long */
  readonly hostname?: string | undefined;
  /**
   * Over the image's. At most 64, keys of 1 to 128 and values of at most 1024 characters; what an image has beyond that is
   * left out.
   */
  readonly labels?: Readonly<Record<string, string>> | undefined;
  /** Limits of every program, e.g. `{ nofile: { soft: 1024, hard: 4096 } }`; names as in setrlimit(2), in lower case. */
  readonly rlimits?: Readonly<Record<string, RlimitOptions>> | undefined;
  /** Over the image's ENTRYPOINT. */
  readonly entrypoint?: readonly string[] | undefined;
  /** Over the image's CMD. */
  readonly cmd?: readonly string[] | undefined;
  /** Whether the sandbox outlives this process. @default {false} */
  readonly detached?: boolean | undefined;
  /**
   * Replaces a sandbox of the same name: stops it gracefully, kills it if it still runs after `graceMs` milliseconds, and
   * removes it. `true` is a grace of 10,000 ms. @default {false}
   */
  readonly replace?: boolean | { readonly graceMs: number } | undefined;
  /** Which engine runs the VM. @default {process.env.MSB_ENGINE ?? "auto"} */
  readonly engine?: EngineChoice | undefined;
  /** Milliseconds that the VM may take to come up; the process that hosts it gets 5 s more. @default {180_000} */
  readonly bootTimeoutMs?: number | undefined;
  /** Stops the sandbox gracefully this many milliseconds after its boot, paused or not. @default none */
  readonly maxDurationMs?: number | undefined;
  /**
   * Stops the sandbox gracefully once no program has run in it, and no call has touched it, for this many milliseconds.
   * Programs that were left in the background by one that has ended do not count. Time in which it is paused counts.
   *
   * @default none
   */
  readonly idleTimeoutMs?: number | undefined;
  /**
   * The sandbox is ended as `crashed` when the agent in its guest has not answered for so many milliseconds, from 1,000:
   * its kernel or its virtual processors hang. A guest that is merely busy answers. `null`: it is left alone.
   *
   * @default {120_000}
   */
  readonly hangTimeoutMs?: number | null | undefined;
  /** Whether the sandbox is removed as soon as it has ended, however it ends. @default {false} */
  readonly ephemeral?: boolean | undefined;
  /**
   * `"none"`: no network. `"user"`: outbound connections through the host, without privileges, to what is public; an object says
   * whom else, or whom only: `{ allow: ["api.example"], secrets: … }`, see {@linkcode UserNetworkOptions}. `"tap"`: a TAP device
   * between host and guest; see {@linkcode TapNetworkOptions}.
   *
   * @default {"none"}
   */
  readonly network?: NetworkMode | NetworkOptions | undefined;
  /**
   * Ports of the host that lead to the sandbox's loopback interface while it runs; no network is needed for them.
   *
   * @default none
   */
  readonly ports?: readonly PortOptions[] | undefined;
  /**
   * What to mount, by its absolute path in the sandbox: directories and files of this machine (`{ "/app": "./project" }`),
   * file systems in the guest's memory (`{ "/scratch": { tmpfs: true, sizeMiB: 64 } }`), or named volumes
   * (`{ "/data": { volume: "cache", mode: "ensure" } }`). At most 64.
   *
   * @default none
   */
  readonly mounts?: Readonly<Record<string, MountOptions>> | undefined;
  /**
   * Changes to the sandbox's files, made once, in that order, before a program can run in it: see {@linkcode Patch}. At most
   * 1,000. They are not stored.
   *
   * @default none
   */
  readonly patches?: readonly Patch[] | undefined;
  /** When to pull an image that is not a path. @default {"if-missing"} */
  readonly pullPolicy?: PullPolicy | undefined;
}

/** Options of one creation, which are not stored. */
const CREATION_OPTIONS = {
  fromSnapshot: true,
  detached: true,
  replace: true,
  pullPolicy: true,
  patches: true,
} as const;
type CreationOption = keyof typeof CREATION_OPTIONS;
/** Options that are stored in another form than callers give them. */
type ReshapedOption = "rlimits" | "network" | "ports" | "mounts" | "rootDisk" | "rootDirectory";
/** Options without a default. */
type OpenOption = "workdir" | "user" | "entrypoint" | "cmd" | "engine" | "maxDurationMs" | "idleTimeoutMs";

/** `T` once defaults are filled in: only the fields of `Open` may be unset. */
export type Resolved<T, Open extends keyof T> = Pick<T, Open> & {
  readonly [K in Exclude<keyof T, Open>]-?: Exclude<T[K], undefined>;
};

/**
 * What a sandbox was created with: the options, defaults filled in. Stored in the state database, and used again at each
 * start.
 */
export interface SandboxConfig
  extends Resolved<Omit<SandboxOptions, CreationOption | ReshapedOption>, OpenOption> {
  /** Version of this format. */
  readonly version: 1;
  /** `name=soft:hard`. */
  readonly rlimits: readonly string[];
  /** The network, with everything that its mode needs. */
  readonly network: StoredNetwork;
  /** Ports of the host that lead to the sandbox while it runs. */
  readonly ports: readonly PublishedPort[];
  /** What is mounted, in that order. */
  readonly mounts: readonly MountConfig[];
  /** Where writes go; `undefined`: the sandbox's own disk of `diskMiB`. */
  readonly rootDisk?: RootDiskConfig | undefined;
  /** The directory that it begins with, an absolute path without links; `undefined`: an image or a snapshot. */
  readonly rootDirectory?: string | undefined;
  /** Digest of the snapshot that it was created from. */
  readonly snapshotDigest?: string | undefined;
  /** Defaults that come from the image. */
  readonly imageConfig: ImageDefaults;
}

/** Checked options: what to store, and how to carry out this one creation. */
export interface CreateRequest extends Pick<CheckedNetwork, "secretValues" | "hooks"> {
  /** With `fromSnapshot`, `image` and `diskMiB` come from the snapshot. */
  readonly config: Omit<SandboxConfig, "imageConfig">;
  /** The name of the snapshot to begin with. */
  readonly fromSnapshot: string | undefined;
  readonly detached: boolean;
  /** `undefined`: an existing sandbox of that name is an error. */
  readonly replaceGraceMs: number | undefined;
  readonly pullPolicy: PullPolicy;
  /** The changes to its files before it is ready. */
  readonly patches: readonly Patch[];
  /** The volumes of its mounts. */
  readonly volumes: readonly VolumeRequest[];
}

const nonEmpty = noNul.min(1);
/** Long: a guest that has come out of swap is better than none. */
const HANG_TIMEOUT_MS = 120_000;
const durationMs = z.int().min(1);
const graceSchema = z.int().min(0).max(TIMER_MS_MAX);
const timeoutSchema = z.int().min(1).max(TIMER_MS_MAX);

const shape = {
  name: nameSchema.default(inventName),
  image: noNul.default(""),
  rootDirectory: nonEmpty.optional(),
  fromSnapshot: nameSchema.optional(),
  cpus: z.int().min(1).max(CPUS_MAX).default(1),
  memoryMiB: z
    .int()
    .min(MEMORY_MIB_MIN)
    .refine((size) => size <= hostMemoryMiB(), {
      error: () => `must be at most the host's ${hostMemoryMiB()} MiB`,
    })
    .refine((size) => size < MEMORY_HOLE_MIB.first || size > MEMORY_HOLE_MIB.last, {
      error: `must not be from ${MEMORY_HOLE_MIB.first} to ${MEMORY_HOLE_MIB.last}: such a VM does not boot`,
    })
    .default(512),
  diskMiB: z
    .int()
    .min(64)
    .max(16 * 1024 * 1024)
    .default(4096),
  rootDisk: rootDiskSchema.optional(),
  env: envSchema.default({}),
  workdir: nonEmpty.startsWith("/", "must be an absolute path").optional(),
  user: nonEmpty.optional(),
  shell: nonEmpty.default("/bin/sh"),
  hostname: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z0-9.-]+$/, "must be letters, digits, `.` and `-`")
    .optional(),
  labels: z.record(nonEmpty.max(LABEL_KEY_LENGTH_MAX), noNul.max(LABEL_VALUE_LENGTH_MAX)).default({}),
  rlimits: rlimitsSchema.default({}),
  entrypoint: z.array(noNul).optional(),
  cmd: z.array(noNul).optional(),
  detached: z.boolean().default(false),
  replace: z.union([z.boolean(), z.strictObject({ graceMs: graceSchema })]).default(false),
  engine: z.enum(["auto", ...ENGINE_NAMES]).optional(),
  bootTimeoutMs: z.int().min(1).max(TIMER_MS_MAX).default(180_000),
  maxDurationMs: durationMs.optional(),
  idleTimeoutMs: durationMs.optional(),
  hangTimeoutMs: z.int().min(1_000).max(TIMER_MS_MAX).nullable().default(HANG_TIMEOUT_MS),
  ephemeral: z.boolean().default(false),
  network: networkSchema.default({ mode: "none" }),
  ports: portsSchema.default([]),
  mounts: z.record(z.string(), mountSchema).default({}),
  patches: patchesSchema,
  pullPolicy: z.enum(["always", "if-missing", "never"]).default("if-missing"),
} satisfies { readonly [K in keyof SandboxOptions]-?: z.ZodType<ParsedOption<K>, SandboxOptions[K]> };

/** An option once it is checked: ready to be stored, except for those that `parseSandboxOptions()` still works on. */
type ParsedOption<K extends keyof SandboxOptions> = K extends CreationOption | "rlimits" | "hostname"
  ? SandboxOptions[K]
  : K extends "mounts"
    ? Readonly<Record<string, z.output<typeof mountSchema>>>
    : K extends "network"
      ? z.output<typeof networkSchema>
      : K extends "rootDisk"
        ? z.output<typeof rootDiskSchema> | undefined
        : K extends keyof SandboxConfig
          ? SandboxConfig[K]
          : never;

const schema = z.strictObject(shape);

/** Grace of `replace: true`. */
export const REPLACE_GRACE_MS = 10_000;

/** @throws {InvalidConfigError} naming every field that is wrong. */
export function parseSandboxOptions(options: SandboxOptions): CreateRequest {
  const checked = parseConfig(schema, withoutUndefined(options), "options");
  const { detached, replace, pullPolicy, patches, fromSnapshot, hostname, rlimits, ...others } = checked;
  const { rootDisk: _given, rootDirectory: _path, network: _network, ...config } = others;
  checkOrigin(options);
  const network = checkNetwork(checked.network);
  const ports = [...config.ports, ...network.ports];
  if (network.ports.length > 0) parseConfig(z.strictObject({ ports: portsSchema }), { ports }, "options");
  checkCounts(config.labels, config.env);
  const root = checkRoot(checked);
  const mounts = checkMounts(config.mounts, root.rootDisk);
  const grace = typeof replace === "object" ? replace.graceMs : REPLACE_GRACE_MS;
  return {
    config: {
      version: 1,
      ...config,
      env: withPlaceholders(config.env, secretsOf(network.stored)),
      network: network.stored,
      ports,
      hostname: hostname ?? hostnameOf(config.name),
      rlimits: Object.entries(rlimits).map(([name, limit]) => formatRlimit(name, limit)),
      mounts,
      ...root,
    },
    fromSnapshot,
    detached,
    replaceGraceMs: replace === false ? undefined : grace,
    pullPolicy,
    patches: checkPatches(
      patches,
      mounts.map(({ target }) => target),
    ),
    volumes: volumeRequests(config.mounts),
    secretValues: network.secretValues,
    hooks: network.hooks,
  };
}

/** @throws {InvalidConfigError} if `name` cannot be a sandbox's. */
export function checkSandboxName(name: string | undefined): asserts name is string {
  parseConfig(nameSchema, name, "name");
}

/** @throws {InvalidConfigError} if nothing can be waited for that long. */
export function checkTimeout(timeoutMs: number): void {
  parseConfig(timeoutSchema, timeoutMs, "timeoutMs");
}

/** @throws {InvalidConfigError} if a stop cannot have that grace. */
export function checkGrace(timeoutMs: number): void {
  parseConfig(graceSchema, timeoutMs, "timeoutMs");
}

/**
 * A stored config: the options as checked. A config that an older release stored lacks later options, which then have
 * their defaults; so later releases may widen the bounds of an option, but not narrow them.
 */
const storedSchema = z.object({
  ...schema.omit(CREATION_OPTIONS).shape,
  version: z.literal(1),
  // Nothing here is made up, or refused because the host has changed.
  name: nameSchema,
  image: z.string(),
  memoryMiB: z.int(),
  hostname: z.string(),
  rlimits: z.array(storedRlimitSchema),
  mounts: storedMountsSchema,
  network: storedNetworkSchema.default({ mode: "none" }),
  rootDisk: storedRootDiskSchema,
  snapshotDigest: z.string().optional(),
  imageConfig: storedImageDefaultsSchema,
});

/** Reads a config back from the state database. @throws {DatabaseError} if the record is damaged. */
export function parseStoredConfig(json: string): SandboxConfig {
  try {
    return parseConfig(storedSchema, JSON.parse(json), "options");
  } catch (cause) {
    throw new DatabaseError(`A sandbox's record is damaged: ${messageOf(cause)}`, {
      cause,
      hint: "the sandbox cannot be started or used, only removed; its disk and its logs are in the home",
    });
  }
}

function hostMemoryMiB(): number {
  return Math.floor(totalmem() / MiB);
}
