/**
 * From options to a running VM: creating a sandbox, and starting one that exists.
 *
 * Everything that can be refused is refused before anything is made; what is made on the way is taken back if a later
 * step fails.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import { MiB } from "../../base/bytes.ts";
import { InvalidConfigError } from "../../base/errors.ts";
import { ensureBootDisk } from "../../image/boot_disk.ts";
import { formatExt4 } from "../../image/ext4.ts";
import { findStoredDisk, resolveImage } from "../../image/store/resolve_image.ts";
import { withImageLabels } from "../../options/labels.ts";
import { checkHooks } from "../../options/network_hooks.ts";
import { type CreateRequest, parseStoredConfig, type SandboxConfig } from "../../options/sandbox_options.ts";
import type { VolumeRequest } from "../../options/volume_options.ts";
import { homePaths } from "../../platform/home.ts";
import { ownProcess } from "../../platform/process_identity.ts";
import type { StoredSnapshot } from "../../snapshot/store.ts";
import {
  isGone,
  SandboxAlreadyExistsError,
  SandboxNotFoundError,
  SandboxStillRunningError,
} from "../../state/errors.ts";
import type { BootKey, SandboxRecord, StateStore } from "../../state/state_store.ts";
import { isLive } from "../../state/status.ts";
import type { ClaimRequest } from "../../vmm/host_protocol.ts";
import { type LaunchedVm, type LaunchOptions, launchVm } from "../../vmm/launch/launch_vm.ts";
import { exposesHome, homeProblem } from "../../volume/volume_place.ts";
import type { BootCallOptions, CreationKey, StartOptions } from "../backend.ts";
import { checkNetworkHost, planNetwork, settleNetwork } from "./address_lease.ts";
import { checkDiskEngine, checkDisks } from "./attached_disks.ts";
import { type BootSources, bootRequest } from "./boot_request.ts";
import { chooseEngine } from "./choose_engine.ts";
import { LocalSandbox } from "./local_sandbox.ts";
import { guestPreparation } from "./prepare_guest.ts";
import { reconcile, sweepLeftovers } from "./reconcile.ts";
import { resolveEgress } from "./resolve_egress.ts";
import { discardCreation } from "./sandbox_directories.ts";
import { type ResolvedMount, SandboxVolumes } from "./sandbox_volumes.ts";
import {
  copySourceDisk,
  openSource,
  resolveSourceImage,
  type SourceImage,
  sourceConfig,
} from "./snapshot_source.ts";
import { StagedDisk } from "./staged_disk.ts";

/** A sandbox that was just booted. */
export interface BootedSandbox {
  readonly core: LocalSandbox;
  readonly config: SandboxConfig;
  readonly vm: LaunchedVm;
  readonly detached: boolean;
}

/** Other processes may create the same name as often as we make room for it. */
const REPLACE_ATTEMPTS_MAX = 5;

/** Other processes may start and stop a sandbox as often while we are about to. */
const START_ATTEMPTS_MAX = 5;

/** See `Sandbox.create()`. */
export async function createSandbox(
  state: StateStore,
  request: CreateRequest,
  call: BootCallOptions = {},
  { id = randomUUID(), snapshotId, applyPatches }: CreationKey = {},
): Promise<BootedSandbox> {
  const begin = performance.now();
  const { name, mounts, network } = request.config;
  if (request.replaceGraceMs === undefined) await refuseExisting(state, name);
  checkNetworkHost(state, network);
  const egress = resolveEgress(network, { home: state.home, secretValues: request.secretValues });
  const hooks = checkHooks(network, request.hooks);
  const replaced = request.replaceGraceMs === undefined ? undefined : name;
  const resolved = await SandboxVolumes.check({ state, mounts, requests: request.volumes }, replaced);
  checkHome(state.home, resolved);
  const engine = await chooseEngine(request.config.engine);
  checkDiskEngine({ ...request.config, mounts: resolved }, engine);
  sweepLeftovers(state);
  const claimed = new Set<string>();
  try {
    const snapshot =
      request.fromSnapshot === undefined
        ? undefined
        : openSource(state.home, request.fromSnapshot, snapshotId);
    const making = [
      ensureBootDisk(homePaths(state.home).bootDisks),
      obtainImage(state, request, snapshot, call, claimed),
    ] as const;
    await Promise.allSettled(making); // a creation that is refused leaves nothing at work
    const [bootDisk, image] = await Promise.all(making);
    call.onStep?.("image", performance.now() - begin);
    const config: SandboxConfig = {
      ...request.config,
      ...(snapshot === undefined ? {} : sourceConfig(snapshot)),
      imageConfig: imageDefaults(image),
      labels: withImageLabels(request.config.labels, image.config.labels ?? {}),
    };
    const boot: BootInputs = {
      state,
      config,
      engine,
      egress,
      hooks,
      bootDisk,
      imagePath: image.erofsPath,
      snapshot,
      call,
      begin,
    };
    return await bootInFreeName(boot, request, { id, imageDigest: image.digest, applyPatches });
  } finally {
    for (const digest of claimed) state.releaseImage(digest, ownProcess());
  }
}

/** Refuses mounts that would give a guest access to the home. @throws {InvalidConfigError} */
function checkHome(home: string, mounts: readonly ResolvedMount[]): void {
  const issues = mounts.flatMap((mount) =>
    // A volume that is still to be made has no source yet.
    mount.kind === "bind" && mount.source !== "" && exposesHome(home, mount.source, mount.readonly)
      ? [{ field: `mounts[${JSON.stringify(mount.target)}]`, problem: homeProblem(mount.source) }]
      : [],
  );
  if (issues.length > 0) throw new InvalidConfigError(issues);
}

/** Stands in for the image of a sandbox that starts from a directory: it is not stored, and has no settings. */
const DIRECTORY: SourceImage = { erofsPath: undefined, digest: "directory", config: {} };

/** The image's disk. Digests that are noted as used on the way are added to `claimed`. */
function obtainImage(
  state: StateStore,
  { config, pullPolicy }: CreateRequest,
  snapshot: StoredSnapshot | undefined,
  call: BootCallOptions,
  claimed: Set<string>,
): Promise<SourceImage> {
  const claim = (digest: string) => {
    if (claimed.has(digest)) return;
    state.claimImage(digest, ownProcess());
    claimed.add(digest);
  };
  const resolve = (reference: string) =>
    resolveImage(reference, {
      home: state.home,
      pullPolicy,
      platform: call.platform,
      registry: call.registry,
      parallelDownloads: call.parallelDownloads,
      maxUnpackedBytes: call.maxUnpackedBytes,
      signal: call.signal,
      onProgress: call.onPullProgress,
      claim,
    });
  if (config.rootDirectory !== undefined) return Promise.resolve(DIRECTORY);
  if (snapshot === undefined) return resolve(config.image);
  claim(snapshot.descriptor.image.digest); // the snapshot may be removed, and what only it used be pruned
  return resolveSourceImage(state.home, snapshot, resolve);
}

/** Boots under a name that is free, or is made so if the caller wants to replace what has it. */
async function bootInFreeName(
  boot: BootInputs,
  request: CreateRequest,
  key: NewSandboxKey,
): Promise<BootedSandbox> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (request.replaceGraceMs !== undefined)
        await vacate(boot.state, boot.config.name, request.replaceGraceMs);
      return await bootNew(boot, request, key);
    } catch (error) {
      const isRaceLost = request.replaceGraceMs !== undefined && isOthersDoing(error);
      if (!isRaceLost || attempt === REPLACE_ATTEMPTS_MAX) throw error;
    }
  }
}

/** Somebody else has created, replaced, started or removed a sandbox of that name at the same moment. */
function isOthersDoing(error: unknown): boolean {
  return (
    error instanceof SandboxAlreadyExistsError || error instanceof SandboxStillRunningError || isGone(error)
  );
}

function imageDefaults({ config }: SourceImage): SandboxConfig["imageConfig"] {
  const { entrypoint, cmd, env, workingDir, user, labels = {} } = config;
  return { entrypoint, cmd, env, workingDir, user, labels: withImageLabels({}, labels) };
}

/** Boots this very sandbox, which is stopped or has crashed. */
export async function startCore(core: LocalSandbox, options: StartOptions = {}): Promise<BootedSandbox> {
  const begin = performance.now();
  for (let attempt = 1; ; attempt++) {
    const record = await core.record();
    if (isLive(record.status)) throw new SandboxStillRunningError(core.name, "start");
    await core.settle(record); // two VMs must never have the same disk
    try {
      return await bootAgain(core, record, options, begin);
    } catch (error) {
      if (!(error instanceof SandboxStillRunningError)) throw error;
      const { status, bootNumber } = await core.record(); // if it is gone, that error says more
      const isOthersOver = !isLive(status) && bootNumber !== record.bootNumber;
      if (!isOthersOver || attempt === START_ATTEMPTS_MAX) throw error;
    }
  }
}

async function bootAgain(
  core: LocalSandbox,
  record: SandboxRecord,
  options: StartOptions,
  begin: number,
): Promise<BootedSandbox> {
  const { state } = core;
  const config = parseStoredConfig(record.configJson);
  checkNetworkHost(state, config.network);
  const egress = resolveEgress(config.network, { home: state.home, secretValues: options.secrets });
  const hooks = checkHooks(config.network, options.hooks);
  const engine = await chooseEngine(config.engine);
  const resolved = await SandboxVolumes.check({ state, mounts: config.mounts });
  checkDiskEngine({ ...config, mounts: resolved }, engine);
  await checkDisks(state.home, config);
  const bootDisk = await ensureBootDisk(homePaths(state.home).bootDisks);
  const imagePath =
    config.rootDirectory === undefined ? findStoredDisk(state.home, record.imageDigest) : undefined;
  const boot: BootInputs = {
    state,
    config,
    engine,
    egress,
    hooks,
    bootDisk,
    imagePath,
    call: options,
    begin,
  };
  const detached = options.detached ?? false;
  const last = { id: record.id, bootNumber: record.bootNumber };
  const prepareGuest = guestPreparation({ egress, hooks, signal: options.signal });
  const vm = await launch(boot, { sandbox: { kind: "start", last }, detached, prepareGuest });
  return { core, config, vm, detached };
}

interface BootInputs extends BootSources {
  /** What the disk of a new sandbox is a copy of; without, it is empty. */
  readonly snapshot?: StoredSnapshot | undefined;
  readonly call: BootCallOptions;
  readonly begin: number;
}

/** What a new sandbox is, beside its config. */
interface NewSandboxKey extends Pick<CreationKey, "applyPatches"> {
  readonly id: string;
  readonly imageDigest: string;
}

async function bootNew(
  boot: BootInputs,
  request: CreateRequest,
  { id, imageDigest, applyPatches }: NewSandboxKey,
): Promise<BootedSandbox> {
  const { state, config } = boot;
  await checkDisks(state.home, config); // after the replaced sandbox has released them
  const sandbox = {
    kind: "create",
    id,
    name: config.name,
    configJson: JSON.stringify(config),
    imageDigest,
    labels: config.labels,
  } as const;
  const { patches } = request;
  const { egress, hooks } = boot;
  const prepareGuest = guestPreparation({ patches, applyPatches, egress, hooks, signal: boot.call.signal });
  // The disk is made while the VM host process starts: neither needs the other.
  await using disk = new StagedDisk(state, (path) => makeUpper(boot, path));
  try {
    const vm = await launch(boot, {
      sandbox,
      detached: request.detached,
      volumeRequests: request.volumes,
      placeDisks: (key) => disk.place(key, config.name),
      prepareGuest,
    });
    return {
      core: new LocalSandbox(state, { id, name: config.name }),
      config,
      vm,
      detached: request.detached,
    };
  } catch (error) {
    const host = state.findById(id)?.host;
    discardCreation(state, { id, name: config.name }, String(error));
    await settleNetwork(state, { id, host });
    throw error;
  }
}

/** What to boot. */
interface LaunchRequest
  extends Pick<ClaimRequest, "sandbox" | "detached">,
    Pick<LaunchOptions, "prepareGuest"> {
  /** @default {the volumes must exist} */
  readonly volumeRequests?: readonly VolumeRequest[];
  /** @default {they exist} */
  readonly placeDisks?: (key: BootKey) => Promise<void>;
}

/** Boots. If that fails, removes the volumes that were made for it. */
async function launch(boot: BootInputs, request: LaunchRequest): Promise<LaunchedVm> {
  const { mounts } = boot.config;
  using volumes = await SandboxVolumes.open({ state: boot.state, mounts, requests: request.volumeRequests });
  try {
    return await launchWith(volumes, boot, request);
  } catch (error) {
    volumes.undo();
    throw error;
  }
}

function launchWith(
  volumes: SandboxVolumes,
  boot: BootInputs,
  { sandbox, detached, placeDisks, prepareGuest }: LaunchRequest,
): Promise<LaunchedVm> {
  const { state, config, engine, call, begin } = boot;
  const spawnedAt = performance.now();
  return launchVm({
    name: config.name,
    claim: { home: state.home, sandbox, engine: engine.engine, detached },
    engineStart: engine,
    bootTimeoutMs: config.bootTimeoutMs,
    prepare: async (key) => {
      await placeDisks?.(key);
      const holder = state.findById(key.id)?.host;
      if (holder === undefined) throw new SandboxNotFoundError(config.name); // its host was killed, and somebody has looked
      // Held by the VM host process, so that it ends with that.
      const network = planNetwork(state, config.network, key.id, holder);
      const resolved = volumes.resolve(config.mounts);
      return { ...bootRequest(boot, key.id, network, resolved), isPrepared: prepareGuest !== undefined };
    },
    prepareGuest,
    signal: call.signal,
    onStep: (step, atMs) => call.onStep?.(step, spawnedAt - begin + atMs),
  });
}

/** The disk of a new sandbox: empty, or a copy. */
async function makeUpper({ state, config, call, snapshot }: BootInputs, path: string): Promise<void> {
  if (config.rootDisk !== undefined) return; // it has no disk of its own
  if (snapshot === undefined) await formatUpper(path, config.diskMiB, call.signal);
  else await copySourceDisk(state.home, snapshot, path, call.signal);
}

async function formatUpper(path: string, sizeMiB: number, signal: AbortSignal | undefined): Promise<void> {
  await formatExt4({
    path,
    sizeBytes: sizeMiB * MiB,
    label: "msb-upper",
    directories: [{ path: "upper" }, { path: "work" }],
    timestampSeconds: Math.floor(Date.now() / 1000),
    signal,
  });
}

async function refuseExisting(state: StateStore, name: string): Promise<void> {
  const found = state.find(name);
  if (found !== undefined && (await reconcile(state, found)) !== undefined)
    throw new SandboxAlreadyExistsError(name);
}

/** Makes room for a new sandbox of that name. */
async function vacate(state: StateStore, name: string, graceMs: number): Promise<void> {
  const found = state.find(name);
  const record = found === undefined ? undefined : await reconcile(state, found);
  if (record === undefined) return;
  const core = new LocalSandbox(state, record);
  await core.stop(graceMs);
  await core.removeIfThere();
}
