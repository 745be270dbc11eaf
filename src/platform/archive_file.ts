/** What those who write archives need of streams and files. @module */
import { open } from "node:fs/promises";

/** Resolves when the stream takes more. */
export function drained(stream: NodeJS.EventEmitter): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once("drain", resolve);
    stream.once("error", reject);
    stream.once("close", resolve); // a destroyed archive drains no more: its pipeline says why
  });
}

/** Waits until the disk has all of a file. */
export async function syncFile(path: string): Promise<void> {
  await using handle = await open(path, "r+");
  await handle.sync();
}
