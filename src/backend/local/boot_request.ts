/**
 * What a VM host process is told to boot: a stored config, with the files and programs of this machine.
 *
 * @module
 */
import { join } from "node:path";
import { MountFlag } from "../../agent/protocol.ts";
import { MiB } from "../../base/bytes.ts";
import type { EgressConfig } from "../../egress/config.ts";
import type { HttpHooks } from "../../egress/http/hooks.ts";
import { reportOf } from "../../egress/update.ts";
import type { FlowPlan, NetworkPlan } from "../../network/network_plan.ts";
import { type DiskMountConfig, defaultOwner, memoryBytes } from "../../options/mount_options.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { removalPath } from "../../platform/staging.ts";
import type { StateStore } from "../../state/state_store.ts";
import {
  type BootRequest,
  type DiskConfig,
  type GuestConfig,
  type MountRequest,
  ROOT_PORT,
  UPPER_DISK,
} from "../../vmm/host_protocol.ts";
import type { SelectedEngine } from "../../vmm/launch/doctor.ts";
import { diskConfig } from "./attached_disks.ts";
import { logDirectory, sandboxDirectory, UPPER_NAME } from "./sandbox_directories.ts";
import type { ResolvedMount } from "./sandbox_volumes.ts";

/** What programs get to end in when a sandbox stops by itself: its owner has gone, or a time limit is reached. */
const OWN_STOP_GRACE_MS = 10_000;

/** Where the guest finds the root's lower layer: the second disk, or the directory behind a console port. */
const IMAGE_ON_DISK = { imageDevice: deviceOf(1), imageType: "erofs" } as const;
const IMAGE_ON_PORT = { imageDevice: ROOT_PORT, imageType: "fuse" } as const;

/** Where everything of a boot comes from. */
export interface BootSources {
  readonly state: StateStore;
  readonly config: SandboxConfig;
  readonly engine: SelectedEngine;
  /** What decides about the guest's connections, where the VM host process carries them. */
  readonly egress: EgressConfig | undefined;
  /** Functions of this process that see the guest's requests: it carries the connections then. */
  readonly hooks: HttpHooks | undefined;
  /** Paths of disks that sandboxes share. */
  readonly bootDisk: string;
  /** `undefined`: the sandbox begins with a directory. */
  readonly imagePath: string | undefined;
}

/** What to boot for the sandbox `id`, whose config is stored. `resolved` are its mounts. */
export function bootRequest(
  sources: BootSources,
  id: string,
  network: NetworkPlan | undefined,
  resolved: readonly ResolvedMount[],
): Omit<BootRequest, "type" | "isPrepared"> {
  const { state, config, engine } = sources;
  const { name, hostname } = config;
  const disks = rootDisks(sources);
  const mounts = resolved.map((mount): MountRequest => {
    if (mount.kind === "disk") {
      disks.push(diskConfig(state.home, mount, `mount${disks.length}`));
      return diskRequest(mount, deviceOf(disks.length - 1), engine.devices.cutsDisks);
    }
    return mountRequest(mount, config.user ?? config.imageConfig.user);
  });
  return {
    cpus: config.cpus,
    memoryMiB: config.memoryMiB,
    kvm: engine.kvm,
    disks,
    guest: {
      ...(config.rootDirectory === undefined ? IMAGE_ON_DISK : IMAGE_ON_PORT),
      ...upperMount(config, disks, engine.devices.cutsDisks),
      hostname,
      hosts: `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t${hostname}\n`,
      resolvConf: (network?.dns ?? []).map((server) => `nameserver ${server}\n`).join(""),
    },
    logDirectory: logDirectory(state.home, name),
    bootTimeoutMs: config.bootTimeoutMs,
    stopGraceMs: OWN_STOP_GRACE_MS,
    limits: { maxDurationMs: config.maxDurationMs, idleTimeoutMs: config.idleTimeoutMs },
    hangTimeoutMs: config.hangTimeoutMs,
    ...(isFlowPlan(network) ? egressOf(sources) : { network }),
    ports: config.ports,
    rootDirectory: config.rootDirectory,
    mounts,
    removeAtEnd: config.ephemeral
      ? { from: sandboxDirectory(state.home, name), to: removalPath(state.home, id) }
      : undefined,
    enginePath: engine.enginePath,
    libkrunfwPath: engine.libkrunfwPath,
  };
}

/** The configuration for the process that carries the connections. Only that process gets keys and values of secrets. */
function egressOf({ egress, hooks }: BootSources): Pick<BootRequest, "egress" | "servedEgress"> {
  if (egress === undefined || hooks === undefined) return { egress };
  return { servedEgress: { ...reportOf(egress), servedBy: "client" } };
}

/** Whether the guest's connections are carried by its VM host process, or by this process. */
function isFlowPlan(network: NetworkPlan | undefined): network is FlowPlan {
  return network?.mode === "user" && network.via === "host";
}

/** The disks that make the root, in the order in which the guest sees them. */
function rootDisks({ state, config, bootDisk, imagePath }: BootSources): DiskConfig[] {
  return [
    { id: "boot", path: bootDisk, readOnly: true },
    ...(imagePath === undefined ? [] : [{ id: "image", path: imagePath, readOnly: true }]),
    ...upperDisk(state.home, config),
  ];
}

/** The writable disk; none if writes go to memory. */
function upperDisk(home: string, { name, diskMiB, rootDisk }: SandboxConfig): DiskConfig[] {
  switch (rootDisk?.kind) {
    case "tmpfs":
      return [];
    case "disk":
      return [diskConfig(home, { ...rootDisk, readonly: false }, UPPER_DISK)];
    case undefined: {
      const path = join(sandboxDirectory(home, name), UPPER_NAME);
      return [{ id: UPPER_DISK, path, readOnly: false, sizeBytes: diskMiB * MiB }];
    }
  }
}

type UpperMount = Pick<GuestConfig, "upperDevice" | "upperType" | "upperOptions" | "upperFlags">;

/** How the guest mounts the writable layer. */
function upperMount(
  { rootDisk }: SandboxConfig,
  disks: readonly DiskConfig[],
  cutsDisks: boolean,
): UpperMount {
  const upperDevice = deviceOf(disks.findIndex(({ id }) => id === UPPER_DISK));
  switch (rootDisk?.kind) {
    case "tmpfs": {
      const upperOptions = `mode=0755,size=${memoryBytes(rootDisk)}`;
      return { upperDevice: "", upperType: "tmpfs", upperOptions, upperFlags: 0 };
    }
    case "disk": {
      const upperFlags = cutsDisks ? MountFlag.noDiscard : 0;
      return { upperDevice, upperType: rootDisk.fstype, upperOptions: "", upperFlags };
    }
    case undefined:
      return { upperDevice, upperType: "ext4", upperOptions: "discard", upperFlags: 0 };
  }
}

/** The guest's name for the disk at that index: letters follow the order of the disks. */
function deviceOf(index: number): string {
  return `/dev/vd${String.fromCharCode("a".charCodeAt(0) + index)}`;
}

/** What the VM host process is to mount. `user` is the sandbox's. */
function mountRequest(
  mount: Exclude<ResolvedMount, DiskMountConfig>,
  user: string | undefined,
): MountRequest {
  const { target, readonly: isReadonly, noExec: isNoExec } = mount;
  return mount.kind === "tmpfs"
    ? { target, isReadonly, isNoExec, memoryBytes: memoryBytes(mount) }
    : {
        ...{ target, isReadonly, isNoExec, source: mount.source, isWatched: mount.watch === true },
        hasLocks: mount.locks !== "guest",
        owner: mount.owner ?? defaultOwner(user),
      };
}

function diskRequest(mount: DiskMountConfig, device: string, cutsDisks: boolean): MountRequest {
  const { target, readonly: isReadonly, noExec: isNoExec, fstype = "" } = mount;
  const isDiscardForbidden = cutsDisks && !isReadonly;
  return { target, isReadonly, isNoExec, device, fstype, isDiscardForbidden };
}
