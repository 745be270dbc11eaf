/** What a manager knows of a sandbox before the state database does. @module */
import { messageOf } from "../../base/errors.ts";
import type { CreateRequest } from "../../options/sandbox_options.ts";
import type { SandboxSummary } from "./types.ts";

/** A creation that is under way, or has failed. */
export interface Creation {
  readonly id: string;
  /** `""` without a network. */
  readonly ip: string;
  readonly config: CreateRequest["config"];
  readonly createdAt: Date;
  readonly abort: AbortController;
  /** Never rejects. */
  readonly settled: Promise<void>;
  error?: Error;
}

/** What a listing says of it. */
export function creationSummary({ id, ip, config, createdAt, error }: Creation): SandboxSummary {
  const [state, ipAddress] = error === undefined ? (["starting", ip] as const) : (["failed", ""] as const);
  return { id, name: config.name, state, labels: config.labels, ipAddress, createdAt };
}

/** Does what must not change how a creation ended: if it fails, that is only a warning. */
export async function warnOfFailure(action: string, body: () => Promise<void>): Promise<void> {
  try {
    await body();
  } catch (error) {
    process.emitWarning(`cannot ${action}: ${messageOf(error)}`, { code: "MSB_REGISTRY" });
  }
}
