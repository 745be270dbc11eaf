/** `copyFromHost()`: a tree of the host, written into a sandbox. @module */
import type { CopyFromHostConfig } from "./copy_options.ts";
import { CopyTally, type FileCopyResult } from "./copy_result.ts";
import type { FileCaller, FileWork } from "./file_caller.ts";
import { GuestTreeWriter } from "./guest_tree_writer.ts";
import { Turns } from "./host_tree/host_directory.ts";
import { walkHostTree } from "./host_tree/tree_walk.ts";
import { runCopy } from "./run_copy.ts";

export function copyFromHost(
  caller: FileCaller,
  work: FileWork,
  hostPath: string,
  guestPath: Uint8Array,
  config: CopyFromHostConfig,
): Promise<FileCopyResult> {
  const tally = new CopyTally(config.onProgress);
  return runCopy(caller, work, "leave", tally, async (session) => {
    const writer = new GuestTreeWriter(session, guestPath, config, tally);
    const turns = new Turns();
    for (const entry of walkHostTree(hostPath, config)) {
      await writer.take(entry);
      await turns.give();
    }
    await writer.finish();
  });
}
