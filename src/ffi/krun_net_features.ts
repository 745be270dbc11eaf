/**
 * The offload features and flags of libkrun's network devices.
 *
 * Source: `NET_FEATURE_*` and `NET_FLAG_*` of libkrun.h; the bits are those of virtio 1.2, section 5.1.3.
 *
 * @module
 */
import { InvalidConfigError } from "../base/errors.ts";

export const NET_FEATURES = {
  csum: 1 << 0,
  guestCsum: 1 << 1,
  guestTso4: 1 << 7,
  guestTso6: 1 << 8,
  guestUfo: 1 << 10,
  hostTso4: 1 << 11,
  hostTso6: 1 << 12,
  hostUfo: 1 << 14,
} as const;

export const NET_FLAGS = {
  /** Unix datagram sockets only: greet the peer as vfkit does. */
  vfkit: 1 << 0,
  /** libkrun's own init asks for an address; libkrun 1.18 or later. */
  dhcpClient: 1 << 1,
} as const;

const ALL_FEATURES = Object.values(NET_FEATURES).reduce((all, bit) => all | bit, 0);
const ALL_FLAGS = NET_FLAGS.vfkit | NET_FLAGS.dhcpClient;
const GUEST_SEGMENTATION = NET_FEATURES.guestTso4 | NET_FEATURES.guestTso6 | NET_FEATURES.guestUfo;

/** Refuses unknown bits, and features that a TAP device cannot have. */
export function checkNetFeatures({
  features,
  flags,
  tap,
}: {
  features: number;
  flags: number;
  tap: boolean;
}): void {
  const issues = [];
  if (!isSubset(features, ALL_FEATURES)) {
    issues.push({ field: "features", problem: `must be bits of NET_FEATURES: current value is ${features}` });
  }
  if (!isSubset(flags, ALL_FLAGS)) {
    issues.push({ field: "flags", problem: `must be bits of NET_FLAGS: current value is ${flags}` });
  }
  if (tap && (features & GUEST_SEGMENTATION) !== 0 && (features & NET_FEATURES.guestCsum) === 0) {
    issues.push({
      field: "features",
      problem: "must have guestCsum beside guestTso4, guestTso6 or guestUfo",
    });
  }
  if (issues.length > 0) throw new InvalidConfigError(issues);
}

function isSubset(value: number, all: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= all && (value & ~all) === 0;
}
