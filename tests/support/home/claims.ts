/** What the tests of the state database claim. @module */
import type { BootClaim, CreateClaim } from "../../../src/state/state_store.ts";

export const BOOT: BootClaim = { runDirectory: "/run/x", host: { pid: 1, startTime: "1.boot" } };

let count = 0;

export function claimOf(name: string, more: Partial<CreateClaim> = {}): CreateClaim {
  return {
    ...BOOT,
    id: `id-${name}-${count++}`,
    name,
    configJson: "{}",
    imageDigest: "digest",
    labels: {},
    ...more,
  };
}
