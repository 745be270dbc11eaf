/**
 * What `SandboxManager` calls checkpoints: snapshots of disks, known by their ids.
 *
 * @module
 */
import { randomUUID } from "node:crypto";
import type { LocalSandbox } from "../../backend/local/local_sandbox.ts";
import { takeSnapshot } from "../../backend/local/take_snapshot.ts";
import { SnapshotNotFoundError } from "../../snapshot/errors.ts";
import { SnapshotStore, type StoredSnapshot } from "../../snapshot/store.ts";
import { withDefaults } from "./spec_defaults.ts";
import type { CheckpointInfo, CheckpointOptions, RestoreSpec, SandboxSpec } from "./types.ts";

/** See `SandboxManager.checkpoint()`. */
export async function take(
  core: LocalSandbox,
  name: string = `checkpoint-${randomUUID()}`,
  options: CheckpointOptions = {},
): Promise<CheckpointInfo> {
  return infoOf(await takeSnapshot(core, { ...options, name }));
}

/** Those of one sandbox, or of all; the oldest first. */
export function list(home: string, sandboxId?: string): CheckpointInfo[] {
  return new SnapshotStore(home)
    .list()
    .filter(({ descriptor }) => sandboxId === undefined || descriptor.source.id === sandboxId)
    .map(infoOf)
    .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime());
}

/** @throws {SnapshotNotFoundError} */
export function remove(home: string, snapshotId: string): void {
  const { descriptor, digest } = find(home, snapshotId);
  new SnapshotStore(home).remove(descriptor.name, digest);
}

/** What a sandbox that is made from a checkpoint is. @throws {SnapshotNotFoundError} */
export function restoredSpec(home: string, { snapshotId, ...spec }: RestoreSpec): SandboxSpec {
  const { name, machine } = find(home, snapshotId).descriptor;
  return { ...withDefaults(machine ?? {}, spec), fromSnapshot: name };
}

function find(home: string, snapshotId: string): StoredSnapshot {
  const found = new SnapshotStore(home).list().find(({ descriptor }) => descriptor.id === snapshotId);
  if (found === undefined) throw new SnapshotNotFoundError(snapshotId);
  return found;
}

function infoOf({ descriptor, directory }: StoredSnapshot): CheckpointInfo {
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
