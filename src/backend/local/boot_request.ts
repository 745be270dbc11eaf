/**
 * What a VM host process is told to boot: a stored config, with the files and programs of this machine.
 *
 * @module
 */
import { join } from "node:path";
import { MiB } from "../../base/bytes.ts";
import type { NetworkPlan } from "../../network/network_plan.ts";
import { type DiskMountConfig, defaultOwner, memoryBytes } from "../../options/mount_options.ts";
import type { SandboxConfig } from "../../options/sandbox_options.ts";
import { removalPath } from "../../platform/staging.ts";
import type { StateStore } from "../../state/state_store.ts";
import type { BootRequest, DiskConfig, MountRequest } from "../../vmm/host_protocol.ts";
import type { SelectedEngine } from "../../vmm/launch/doctor.ts";
import { diskConfig } from "./attached_disks.ts";
import { logDirectory, sandboxDirectory, UPPER_NAME } from "./sandbox_directories.ts";
import type { ResolvedMount } from "./sandbox_volumes.ts";

/** What programs get to end in when a sandbox stops by itself: its owner has gone, or a time limit is reached. */
const OWN_STOP_GRACE_MS = 10_000;

/** Where everything of a boot comes from. */
export interface BootSources {
  readonly state: StateStore;
  readonly config: SandboxConfig;
  readonly engine: SelectedEngine;
  /** Paths of disks that sandboxes share. */
  readonly bootDisk: string;
  readonly imagePath: string;
}

/** What to boot for the sandbox `id`, whose config is stored. `resolved` are its mounts. */
export function bootRequest(
  { state, config, engine, bootDisk, imagePath }: BootSources,
  id: string,
  network: NetworkPlan | undefined,
  resolved: readonly ResolvedMount[],
): Omit<BootRequest, "type" | "isPrepared"> {
  const { name, hostname } = config;
  const disks = ownDisks(state.home, config, bootDisk, imagePath);
  const mounts = resolved.map((mount): MountRequest => {
    if (mount.kind === "disk") {
      disks.push(diskConfig(state.home, mount, `mount${disks.length}`));
      return diskRequest(mount, deviceOf(disks.length - 1));
    }
    return mountRequest(mount, config.user ?? config.imageConfig.user);
  });
  return {
    cpus: config.cpus,
    memoryMiB: config.memoryMiB,
    kvm: engine.kvm,
    disks,
    guest: {
      imageDevice: "/dev/vdb",
      imageType: "erofs",
      upperDevice: "/dev/vdc",
      hostname,
      hosts: `127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t${hostname}\n`,
      resolvConf: (network?.dns ?? []).map((server) => `nameserver ${server}\n`).join(""),
    },
    logDirectory: logDirectory(state.home, name),
    bootTimeoutMs: config.bootTimeoutMs,
    stopGraceMs: OWN_STOP_GRACE_MS,
    limits: { maxDurationMs: config.maxDurationMs, idleTimeoutMs: config.idleTimeoutMs },
    hangTimeoutMs: config.hangTimeoutMs,
    network,
    ports: config.ports,
    mounts,
    removeAtEnd: config.ephemeral
      ? { from: sandboxDirectory(state.home, name), to: removalPath(state.home, id) }
      : undefined,
    enginePath: engine.enginePath,
    libkrunfwPath: engine.libkrunfwPath,
  };
}

/** The disks that every sandbox has, in the order in which the guest sees them. */
function ownDisks(home: string, config: SandboxConfig, bootDisk: string, imagePath: string): DiskConfig[] {
  return [
    { id: "boot", path: bootDisk, readOnly: true },
    { id: "image", path: imagePath, readOnly: true },
    {
      id: "upper",
      path: join(sandboxDirectory(home, config.name), UPPER_NAME),
      readOnly: false,
      sizeBytes: config.diskMiB * MiB,
    },
  ];
}

/** What the guest calls the disk at that place: the order of the disks is that of the letters. */
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
    : { target, isReadonly, isNoExec, source: mount.source, owner: mount.owner ?? defaultOwner(user) };
}

function diskRequest(mount: DiskMountConfig, device: string): MountRequest {
  const { target, readonly: isReadonly, noExec: isNoExec, fstype = "" } = mount;
  return { target, isReadonly, isNoExec, device, fstype };
}
