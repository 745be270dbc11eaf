/**
 * Gives disks their size back before a boot.
 *
 * libkrun 1.17 cuts a disk's file short when the guest discards the last blocks of the disk. Nothing is lost by that, as
 * what was there is free; but the next VM would see a smaller disk, which no file system that knows better can be mounted
 * from.
 *
 * @module
 */
import { statSync, truncateSync } from "node:fs";
import { IoError } from "../../base/errors.ts";
import type { DiskConfig } from "../host_protocol.ts";

/** @throws {IoError} if a disk is missing, or cannot be changed. */
export function restoreDiskSizes(disks: readonly DiskConfig[]): void {
  for (const { path, sizeBytes } of disks) {
    if (sizeBytes === undefined) continue;
    try {
      if (statSync(path).size < sizeBytes) truncateSync(path, sizeBytes);
    } catch (error) {
      throw new IoError(`restore the size of ${path}`, path, error);
    }
  }
}
