/**
 * What kind of network a sandbox gets, and which addresses.
 *
 * @module
 */
import { createHash } from "node:crypto";

/** `none`: no network device. `user`: outbound through the host's own sockets, without privileges. */
export type NetworkMode = "none" | "user";

/** The network device of one sandbox. */
export interface NetworkPlan {
  readonly mode: Exclude<NetworkMode, "none">;
  /** Of the guest's interface, as `02:…`. */
  readonly mac: string;
  readonly address: string;
  readonly prefixBits: number;
  readonly gateway: string;
  /** What the guest resolves names by. */
  readonly dns: string;
  readonly mtu: number;
}

/**
 * The addresses of `user` mode are the same in every sandbox, as each has a network of its own. passt passes frames on as
 * streams: large ones cost least, and 65,520 bytes is its own default.
 */
const USER = {
  mode: "user",
  address: "10.0.2.15",
  prefixBits: 24,
  gateway: "10.0.2.2",
  dns: "10.0.2.3",
  mtu: 65_520,
} as const;

/** @returns `undefined` where there is no device. */
export function planNetwork(mode: NetworkMode, sandboxId: string): NetworkPlan | undefined {
  return mode === "none" ? undefined : { ...USER, mac: macOf(sandboxId) };
}

/** A locally administered unicast address (IEEE 802, section 8.4), the same at each boot. */
export function macOf(sandboxId: string): string {
  const hash = createHash("sha256").update(sandboxId).digest();
  return ["02", ...[...hash.subarray(0, 5)].map((byte) => byte.toString(16).padStart(2, "0"))].join(":");
}

/** The six bytes of a MAC address. */
export function macBytes(mac: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(mac.split(":").map((byte) => Number.parseInt(byte, 16)));
}
