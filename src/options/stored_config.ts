/** Configs of records that may be damaged. @module */
import { DatabaseError } from "../state/errors.ts";
import { parseStoredConfig, type SandboxConfig } from "./sandbox_options.ts";

/** The config of a record, for lists: `undefined` where it cannot be read, so that one damaged record hides no other. */
export function configIfReadable(json: string): SandboxConfig | undefined {
  try {
    return parseStoredConfig(json);
  } catch (error) {
    if (error instanceof DatabaseError) return undefined;
    throw error;
  }
}
