/** Disks for tests: ext4 file systems with files in them, made without a mount. @module */
import { execFileSync, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { MiB } from "../../../src/base/bytes.ts";
import { formatExt4 } from "../../../src/image/ext4.ts";
import { CONTENT_ALGORITHM } from "../../../src/snapshot/content_digest.ts";
import { type SnapshotDescriptor, UPPER_NAME } from "../../../src/snapshot/descriptor.ts";
import { digestDisk } from "../../../src/snapshot/disk_content.ts";
import { copyDisk } from "../../../src/snapshot/disk_copy.ts";
import { SnapshotStore, type StoredSnapshot } from "../../../src/snapshot/store.ts";

/** Why disks cannot be filled and checked here; `undefined` where they can. */
export const ext4ToolsProblem: string | undefined =
  spawnSync("debugfs", ["-V"]).status === 0 ? undefined : "debugfs is missing: apt-get install e2fsprogs";

/** Makes a disk of `sizeMiB` whose file system holds `files`. */
export async function makeDisk(
  path: string,
  sizeMiB: number,
  files: Readonly<Record<string, Uint8Array>> = {},
): Promise<void> {
  await formatExt4({ path, sizeBytes: sizeMiB * MiB, label: "test", directories: [{ path: "upper" }] });
  for (const [name, bytes] of Object.entries(files)) {
    const source = `${path}.${name}.tmp`;
    writeFileSync(source, bytes);
    debugfs(path, ["-w"], `write ${source} upper/${name}`);
    execFileSync("rm", [source]);
  }
}

/** Runs one command of debugfs. */
export function debugfs(path: string, options: readonly string[], command: string): Buffer {
  return execFileSync("debugfs", [...options, "-R", command, path], {
    stdio: ["ignore", "pipe", "ignore"],
    maxBuffer: 64 * MiB,
  });
}

/** A file of the disk. */
export function readDiskFile(path: string, name: string): Buffer {
  return debugfs(path, [], `cat upper/${name}`);
}

/** A descriptor of the disk at `path`. */
export async function describeDisk(
  path: string,
  sizeBytes: number,
  fields: Partial<SnapshotDescriptor> = {},
): Promise<SnapshotDescriptor> {
  return {
    version: 1,
    name: "subject",
    id: randomUUID(),
    createdAt: "2026-01-02T03:04:05.678Z",
    source: { name: "box", id: "1" },
    image: {
      digest: `sha256:${"0".repeat(64)}`,
      reference: "alpine",
      config: { env: ["A=b"], labels: { l: "v" } },
    },
    upper: {
      file: UPPER_NAME,
      format: "raw",
      fileSystem: "ext4",
      sizeBytes,
      integrity: { algorithm: CONTENT_ALGORITHM, digest: await digestDisk(path) },
    },
    labels: {},
    parent: null,
    ...fields,
  };
}

/** Puts a snapshot of a disk into the store of `home`. */
export async function storeSnapshot(home: string, disk: string, name = "subject"): Promise<StoredSnapshot> {
  const store = new SnapshotStore(home);
  const staged = store.stage();
  const { sizeBytes } = await copyDisk({ from: disk, to: join(staged, UPPER_NAME) });
  return store.publish(staged, await describeDisk(disk, sizeBytes, { name }));
}
