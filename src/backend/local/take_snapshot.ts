/**
 * Taking a snapshot of a sandbox's disk: of one that runs while its writes are held back, of one that does not as it is.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { AgentDisconnectedError } from "../../agent/errors.ts";
import { GuestErrno } from "../../agent/guest_errno.ts";
import { UnsupportedError } from "../../base/errors.ts";
import { CallLimit } from "../../base/wait.ts";
import { parseStoredConfig, type SandboxConfig } from "../../options/sandbox_options.ts";
import { CONTENT_ALGORITHM } from "../../snapshot/content_digest.ts";
import { checkNameAndLabels, type SnapshotDescriptor, UPPER_NAME } from "../../snapshot/descriptor.ts";
import { digestDisk } from "../../snapshot/disk_content.ts";
import { type CopiedDisk, copyDisk } from "../../snapshot/disk_copy.ts";
import { SnapshotAlreadyExistsError } from "../../snapshot/errors.ts";
import { SnapshotStore, type StoredSnapshot } from "../../snapshot/store.ts";
import { SandboxBusyError } from "../../state/errors.ts";
import type { SandboxRecord } from "../../state/state_store.ts";
import { isLive } from "../../state/status.ts";
import type { TakeSnapshotOptions } from "../backend.ts";
import { waitForStatus } from "../wait_for.ts";
import type { LocalSandbox } from "./local_sandbox.ts";
import { sandboxDirectory } from "./sandbox_directories.ts";

/** How long the guest holds writes back without hearing from us, and how often it does. */
const LEASE_MS = 30_000;
const RENEWAL_MS = 10_000;
/** How long writes may be held back in all. */
const FREEZE_MS_MAX = 10 * 60_000;
/** How long a sandbox may take to start or to stop before its disk can be copied. */
const SETTLE_TIMEOUT_MS = 3 * 60_000;
/** The sandbox may start or stop as often during a copy. */
const ATTEMPTS_MAX = 5;

/**
 * @throws {InvalidConfigError | SnapshotAlreadyExistsError}
 * @throws {SandboxNotFoundError | SandboxReplacedError} if the sandbox is gone.
 * @throws {SandboxBusyError} if it was started and stopped all the time.
 * @throws {TimeoutError | AbortedError | IoError}
 */
export async function takeSnapshot(
  core: LocalSandbox,
  options: TakeSnapshotOptions,
): Promise<StoredSnapshot> {
  checkNameAndLabels(options);
  const { force = false } = options;
  const store = new SnapshotStore(core.state.home);
  if (!force && store.has(options.name)) throw new SnapshotAlreadyExistsError(options.name);
  checkRoot(core.name, parseStoredConfig((await core.record()).configJson));
  const staged = store.stage();
  try {
    const upper = join(staged, UPPER_NAME);
    const { record, copied } = await copyUpper(core, upper, options);
    const contentDigest = copied.contentDigest ?? (await digestDisk(upper, { signal: options.signal }));
    const config = parseStoredConfig(record.configJson);
    const descriptor: SnapshotDescriptor = {
      version: 1,
      name: options.name,
      id: randomUUID(),
      createdAt: new Date().toISOString(),
      source: { name: core.name, id: core.id },
      image: { digest: record.imageDigest, reference: config.image, config: config.imageConfig },
      machine: { cpus: config.cpus, memoryMiB: config.memoryMiB },
      upper: {
        file: UPPER_NAME,
        format: "raw",
        fileSystem: "ext4",
        sizeBytes: copied.sizeBytes,
        integrity: { algorithm: CONTENT_ALGORITHM, digest: contentDigest },
      },
      labels: { ...options.labels },
      parent: config.snapshotDigest ?? null,
    };
    return store.publish(staged, descriptor, { replace: force });
  } finally {
    rmSync(staged, { recursive: true, force: true }); // unless it has become the snapshot
  }
}

/** @throws {UnsupportedError} unless the sandbox has an image and its own disk over it. */
function checkRoot(name: string, { rootDisk, rootDirectory }: SandboxConfig): void {
  const refuse = (reason: string, hint: string) =>
    new UnsupportedError(`Cannot take a snapshot of ${name}: ${reason}`, { hint });
  if (rootDirectory !== undefined)
    throw refuse(
      `it lies over the directory ${rootDirectory}, which changes`,
      "use the directory as an image",
    );
  if (rootDisk?.kind === "tmpfs") throw refuse("it writes to memory", "leave rootDisk out");
  if (rootDisk?.kind === "disk")
    throw refuse(`it writes to the disk ${rootDisk.source}`, "stop it, and copy that disk");
}

interface CopiedUpper {
  readonly record: SandboxRecord;
  readonly copied: CopiedDisk;
}

/** Copies the disk as it was at one moment. */
async function copyUpper(core: LocalSandbox, to: string, options: TakeSnapshotOptions): Promise<CopiedUpper> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    const record = await waitForStatus(core, ["running", "paused", "stopped", "crashed"], {
      timeoutMs: SETTLE_TIMEOUT_MS,
      signal: options.signal,
    });
    const copied = isLive(record.status)
      ? await copyFrozen(core, to, options)
      : await copyAtRest(core, record, to, options);
    if (copied !== undefined) return { record, copied };
    rmSync(to, { force: true });
  }
  throw new SandboxBusyError(core.name, "take a snapshot of");
}

/** Copies the disk of a sandbox that does not run. Returns `undefined` if it was started during the copy. */
async function copyAtRest(
  core: LocalSandbox,
  record: SandboxRecord,
  to: string,
  options: TakeSnapshotOptions,
): Promise<CopiedDisk | undefined> {
  await core.settle(record); // a VM that is being killed may still write
  let copied: CopiedDisk;
  try {
    copied = await copyDisk({ ...options, from: upperOf(core), to });
  } catch (error) {
    await core.record(); // if it is gone, that error says more
    throw error;
  }
  // A start claims its boot number before the disk is touched.
  const now = await core.record();
  return now.bootNumber === record.bootNumber ? copied : undefined;
}

/** Copies the disk of a running sandbox, whose writes wait. Returns `undefined` if it stopped during the copy. */
async function copyFrozen(
  core: LocalSandbox,
  to: string,
  { signal, onProgress }: TakeSnapshotOptions,
): Promise<CopiedDisk | undefined> {
  using limit = new CallLimit({
    action: `copying the disk of ${core.name}`,
    timeoutMs: FREEZE_MS_MAX,
    signal,
  });
  let close = () => {};
  let renewal: ReturnType<typeof setInterval> | undefined;
  try {
    // A connection of its own: when it closes, for whatever reason, writes go on.
    const client = await core.openConnection({ signal: limit.signal });
    close = () => client.close();
    limit.onReached(close);
    const held = await client.freeze(true, LEASE_MS);
    if (!held.on && held.errno === GuestErrno.EOPNOTSUPP)
      throw new UnsupportedError(`Cannot hold back the writes of ${core.name}`, { hint: "stop it first" });
    if (!held.on) return undefined;
    renewal = setInterval(() => client.freeze(true, LEASE_MS).catch(() => {}), RENEWAL_MS); // the release tells
    const copied = await copyDisk({ from: upperOf(core), to, signal: limit.signal, onProgress });
    clearInterval(renewal);
    const released = await client.freeze(false, 0);
    return released.errno === 0 ? copied : undefined; // else a write may have come in between
  } catch (error) {
    if (limit.error !== undefined) throw limit.error;
    if (error instanceof AgentDisconnectedError) return undefined;
    throw error;
  } finally {
    clearInterval(renewal);
    close();
  }
}

function upperOf(core: LocalSandbox): string {
  return join(sandboxDirectory(core.state.home, core.name), UPPER_NAME);
}
