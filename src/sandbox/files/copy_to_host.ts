/** `copyToHost()`: a tree of a sandbox, written to the host. @module */
import { FileFlag } from "../../agent/file_messages.ts";
import type { CopyToHostConfig } from "./copy_options.ts";
import { CopyTally, type FileCopyResult } from "./copy_result.ts";
import type { FileCaller, FileWork } from "./file_caller.ts";
import { Turns } from "./host_tree/host_directory.ts";
import { TreeWriter } from "./host_tree/tree_writer.ts";
import { runCopy } from "./run_copy.ts";

/** The host counts levels itself: a guest that leaves some out in silence would make a copy look complete. */
const ANY_DEPTH = 0;

export function copyToHost(
  caller: FileCaller,
  work: FileWork,
  guestPath: Uint8Array,
  hostPath: string,
  config: CopyToHostConfig,
): Promise<FileCopyResult> {
  const tally = new CopyTally(config.onProgress);
  return runCopy(caller, work, "kill", tally, async (session) => {
    using writer = new TreeWriter(hostPath, config, tally);
    const turns = new Turns();
    const walk = session.call("walk", { path: guestPath, flags: FileFlag.content, depthMax: ANY_DEPTH });
    for (let answer = await walk.next(); answer !== undefined; answer = await walk.next()) {
      if (answer.name === "entry") writer.take(answer.fields);
      else if (answer.name === "data") await writer.write(answer.fields.data);
      else if (answer.name === "hole") writer.skip(answer.fields.size);
      else if (answer.name === "unread") writer.drop();
      await turns.give();
    }
    writer.finish();
  });
}
