/**
 * What `SandboxManager` calls checkpoints: snapshots of disks, known by their ids.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import type { BackendSandbox, SnapshotBackend, SnapshotRecord } from "../../backend/backend.ts";
import { SnapshotNotFoundError } from "../../snapshot/errors.ts";
import { withDefaults } from "./spec_defaults.ts";
import type { CheckpointInfo, CheckpointOptions, RestoreSpec, SandboxSpec } from "./types.ts";

/** See `SandboxManager.checkpoint()`. */
export async function take(
  sandbox: BackendSandbox,
  name: string = `checkpoint-${randomUUID()}`,
  options: CheckpointOptions = {},
): Promise<CheckpointInfo> {
  return infoOf(await sandbox.takeSnapshot({ ...options, name }));
}

/** Those of one sandbox, or of all; the oldest first. */
export async function list(snapshots: SnapshotBackend, sandboxId?: string): Promise<CheckpointInfo[]> {
  return (await snapshots.list())
    .filter(({ descriptor }) => sandboxId === undefined || descriptor.source.id === sandboxId)
    .map(infoOf)
    .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
}

/** @throws {SnapshotNotFoundError} */
export async function remove(snapshots: SnapshotBackend, snapshotId: string): Promise<void> {
  const { descriptor, digest } = await find(snapshots, snapshotId);
  await snapshots.remove(descriptor.name, digest);
}

/** What a sandbox that is made from a checkpoint is. @throws {SnapshotNotFoundError} */
export async function restoredSpec(
  snapshots: SnapshotBackend,
  { snapshotId, ...spec }: RestoreSpec,
): Promise<SandboxSpec> {
  const { name, machine } = (await find(snapshots, snapshotId)).descriptor;
  return { ...withDefaults(machine ?? {}, spec), fromSnapshot: name };
}

async function find(snapshots: SnapshotBackend, snapshotId: string): Promise<SnapshotRecord> {
  const found = (await snapshots.list()).find(({ descriptor }) => descriptor.id === snapshotId);
  if (found === undefined) throw new SnapshotNotFoundError(snapshotId);
  return found;
}

function infoOf({ descriptor, directory }: SnapshotRecord): CheckpointInfo {
  return {
    snapshotId: descriptor.id,
    name: descriptor.name,
    sandboxId: descriptor.source.id,
    snapshotDir: directory,
    sizeBytes: descriptor.upper.sizeBytes,
    labels: descriptor.labels,
    createdAt: new Date(descriptor.createdAt),
  };
}
