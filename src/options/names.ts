/** Names of sandboxes, snapshots and volumes, and the host names made from them. @module */
import { randomBytes } from "node:crypto";
import { z } from "zod";

const NAME_BYTES_MAX = 128;
/** 1 to 128 bytes, letters, digits, `.`, `_` and `-`, the first a letter or digit. */
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;
/** Of 100,000 sandboxes in one home, two are given the same name with a probability of 1 in 56,000. */
const INVENTED_NAME_BYTES = 6;

/** A name of a sandbox, a snapshot or a volume. */
export const nameSchema = z
  .string()
  .min(1)
  .max(NAME_BYTES_MAX)
  .regex(NAME_PATTERN, "must be letters, digits, `.`, `_` and `-`, and begin with a letter or digit");

/** A name that no other sandbox is likely to have. */
export function inventName(): string {
  return `sandbox-${randomBytes(INVENTED_NAME_BYTES).toString("hex")}`;
}

/** A host name for a sandbox: at most 64 bytes (hostname(7)), and told apart by more than its start. */
export function hostnameOf(name: string): string {
  const clean = name.replaceAll("_", "-");
  if (clean.length <= 64) return clean;
  let hash = 0x811c9dc5; // FNV-1a: told apart, not secret
  for (const character of clean) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  return `${clean.slice(0, 55)}-${hash.toString(16).padStart(8, "0")}`;
}
