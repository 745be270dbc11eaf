/** Whose logs a directory holds, by the files alone. @module */
import { parseHeader } from "./header.ts";
import { HEADER_BYTES_MAX, ROTATED_FILES_MAX } from "./limits.ts";
import { LOG_FILES } from "./log_files.ts";
import { closeQuietly, openForReading, readAt } from "./read_file.ts";
import { logPath } from "./rotating_file.ts";

/** The id of the sandbox that wrote the newest file with a header of ours; `undefined` if there is none. */
export async function findLogOwner(directory: string): Promise<string | undefined> {
  for (const spec of LOG_FILES) {
    for (let index = 0; index <= ROTATED_FILES_MAX; index++) {
      const descriptor = await openForReading(logPath(directory, spec, index));
      if (descriptor === undefined) continue;
      try {
        const header = parseHeader(spec.format, await readAt(descriptor, 0, HEADER_BYTES_MAX));
        if (header !== undefined) return header.sandboxId;
      } finally {
        closeQuietly(descriptor);
      }
    }
  }
  return undefined;
}
