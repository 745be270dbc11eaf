/** Flushes a file to disk. @module */
import { open } from "node:fs/promises";

/** Waits until the disk has all of a file. */
export async function syncFile(path: string): Promise<void> {
  await using handle = await open(path, "r+");
  await handle.sync();
}
