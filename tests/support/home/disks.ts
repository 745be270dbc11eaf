/**
 * A sandbox's disk, seen from the host.
 *
 * @module
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { closeSync, openSync, readSync } from "node:fs";
import { join } from "node:path";

/** Where ext4 has its superblock, and in it what these tests look at (Linux, Documentation/filesystems/ext4/super.rst). */
const SUPERBLOCK = { offset: 1024, size: 1024, magic: 0x38, state: 0x3a, incompatible: 0x60 } as const;
const MAGIC = 0xef53;
const STATE_CLEAN = 1;
/** Feature `needs_recovery`: the journal holds what is not in its place yet. */
const NEEDS_RECOVERY = 0x4;

/** Asserts that the disk of a sandbox that does not run has no error, and no journal to replay. */
export function assertCleanDisk(home: string, name: string): void {
  const disk = join(home, "sandboxes", name, "upper.ext4");
  const superblock = readSuperblock(disk);
  assert.equal(superblock.getUint16(SUPERBLOCK.magic, true), MAGIC);
  assert.equal(superblock.getUint16(SUPERBLOCK.state, true), STATE_CLEAN, "state of the file system");
  const features = superblock.getUint32(SUPERBLOCK.incompatible, true);
  assert.equal(features & NEEDS_RECOVERY, 0, "the journal has to be replayed");
  execFileSync("e2fsck", ["-fn", disk], { stdio: "pipe" });
}

function readSuperblock(path: string): DataView {
  const bytes = new Uint8Array(SUPERBLOCK.size);
  const fd = openSync(path, "r");
  try {
    assert.equal(readSync(fd, bytes, 0, bytes.length, SUPERBLOCK.offset), bytes.length);
  } finally {
    closeSync(fd);
  }
  return new DataView(bytes.buffer);
}
