/**
 * What kind of network a sandbox gets, and which addresses.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { TapConfig } from "./tap_config.ts";

/**
 * `none`: no network. `user`: outbound through the host's own sockets, without privileges. `tap`: a device between
 * host and guest, for root.
 */
export type NetworkMode = "none" | "user" | "tap";

/** What a sandbox was created with. */
export type NetworkConfig = { readonly mode: "none" } | UserConfig | TapConfig;

/** Outbound connections through the host. */
export interface UserConfig {
  readonly mode: "user";
  /** What carries them: the VM host process, which decides about each of them; or passt, which does not. @default {"host"} */
  readonly via?: "host" | "passt" | undefined;
}

/** What every network has. */
interface AnyPlan {
  readonly address: string;
  readonly prefixBits: number;
  readonly gateway: string;
  /** What the guest resolves names by. */
  readonly dns: readonly string[];
  readonly mtu: number;
}

/** A network without a device: the guest's agent carries its connections to the VM host process. */
export interface FlowPlan extends AnyPlan {
  readonly mode: "user";
  readonly via: "host";
  readonly mac?: undefined;
}

/** A network device whose frames go to passt. */
export interface PasstPlan extends AnyPlan {
  readonly mode: "user";
  readonly via: "passt";
  /** Of the guest's interface, as `02:…`. */
  readonly mac: string;
}

/** A network device whose frames go to a TAP device of the host. */
export interface TapPlan extends AnyPlan {
  /** Of the guest's interface, as `02:…`. */
  readonly mac: string;
  readonly mode: "tap";
  readonly tapName: string;
  readonly isolated: boolean;
}

/** The network device of one sandbox. */
export type DevicePlan = PasstPlan | TapPlan;
/** The network of one sandbox. */
export type NetworkPlan = FlowPlan | DevicePlan;

/**
 * The addresses behind passt are the same in every sandbox, as each has a network of its own. passt passes frames on as
 * streams: large ones cost least, and 65,520 bytes is its own default.
 */
const PASST = {
  mode: "user",
  via: "passt",
  address: "10.0.2.15",
  prefixBits: 24,
  gateway: "10.0.2.2",
  dns: ["10.0.2.3"],
  mtu: 65_520,
} as const;

/** The payload of an Ethernet frame. */
const TAP_MTU = 1500;

/** The device of a sandbox whose connections passt carries. */
export function planPasstNetwork(sandboxId: string): PasstPlan {
  return { ...PASST, mac: macOf(sandboxId) };
}

/** The device of a sandbox in mode `tap` that has leased `address`. It has no neighbours: all goes by the gateway. */
export function planTapNetwork(
  { gateway, dns, isolated }: TapConfig,
  sandboxId: string,
  address: string,
): TapPlan {
  return {
    mode: "tap",
    mac: macOf(sandboxId),
    tapName: tapNameOf(sandboxId),
    address,
    prefixBits: 32,
    gateway,
    dns,
    mtu: TAP_MTU,
    isolated,
  };
}

/** A locally administered unicast address (IEEE 802, section 8.4), the same at each boot. */
export function macOf(sandboxId: string): string {
  return ["02", ...[...digestOf(sandboxId).subarray(0, 5)].map(hex)].join(":");
}

/** The name of a sandbox's TAP device, the same at each boot: 15 bytes, the most that Linux takes (`IFNAMSIZ`). */
export function tapNameOf(sandboxId: string): string {
  return `msb${[...digestOf(sandboxId).subarray(0, 6)].map(hex).join("")}`;
}

function digestOf(sandboxId: string): Uint8Array {
  return createHash("sha256").update(sandboxId).digest();
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, "0");
}
