/**
 * Whether this machine can give sandboxes TAP devices: asked before anything is made.
 *
 * @module
 */
import { accessSync, closeSync, constants, openSync } from "node:fs";
import { errnoOf, messageOf, UnsupportedError } from "../base/errors.ts";
import { parseIpv4Network, rangesOverlap } from "../base/ipv4.ts";
import { hasNetworkInterface } from "../platform/network_interface.ts";
import { NetworkError, NetworkPrivilegeError } from "./errors.ts";
import { ipError, runIp } from "./ip_program.ts";
import { rangeOf, type TapConfig } from "./tap_config.ts";

const TUN_DEVICE = "/dev/net/tun";
/** Virtual private networks lead everywhere by two routes to one half each. */
const DEFAULT_PREFIX_BITS_MAX = 1;

/**
 * @param findOwnDevices Gives the TAP devices that sandboxes of this network have. Others start and stop sandboxes at the
 *   same time: it is asked once the host's routes are known, and a route whose device is gone by then is none.
 * @throws {UnsupportedError} if the kernel has no TAP devices, or `ip` is not installed.
 * @throws {NetworkPrivilegeError}
 * @throws {NetworkError} if the host has routes to addresses of the network.
 */
export function checkTapHost({ cidr }: TapConfig, findOwnDevices: () => ReadonlySet<string>): void {
  checkTun();
  checkPrivilege();
  checkParameters();
  const overlapping = hostRoutes().filter(({ destination }) =>
    rangesOverlap(rangeOf(destination), rangeOf(cidr)),
  );
  const own = findOwnDevices();
  const route = overlapping.find(
    ({ device }) => !own.has(device) && (device === "" || hasNetworkInterface(device)),
  );
  if (route === undefined) return;
  const by = route.device === "" ? "" : ` by ${route.device}`;
  throw new NetworkError(`The network ${cidr} overlaps the host's route to ${route.destination}${by}`, {
    hint: "choose another cidr for the network",
  });
}

function checkTun(): void {
  try {
    closeSync(openSync(TUN_DEVICE, "r+"));
  } catch (cause) {
    const reason = `${TUN_DEVICE} cannot be opened: ${messageOf(cause)}`;
    const errno = errnoOf(cause);
    if (errno === "EACCES" || errno === "EPERM") throw new NetworkPrivilegeError(reason, { cause });
    throw new UnsupportedError(`This machine has no TAP devices: ${reason}`, {
      cause,
      hint: "modprobe tun; in a container, pass the device in",
    });
  }
}

/**
 * Whether we may change the network of this namespace. A capability does not tell: it may be one of another user
 * namespace. So the kernel is asked to remove a route that does not exist: it checks privileges first.
 */
function checkPrivilege(): void {
  const result = runIp(["route", "del", "blackhole", "192.0.2.1/32", "table", "213"]);
  if (/not permitted/.test(result.stderr)) throw ipError("change the network", result);
}

/** In a container they may be read-only, whatever the privileges. */
function checkParameters(): void {
  const path = "/proc/sys/net/ipv4/conf/default/forwarding";
  try {
    accessSync(path, constants.W_OK);
  } catch (cause) {
    throw new NetworkPrivilegeError(`${path} cannot be written: ${messageOf(cause)}`, { cause });
  }
}

interface HostRoute {
  readonly destination: string;
  readonly device: string;
}

/** The IPv4 routes of all tables, local addresses among them, without those that lead everywhere. */
function hostRoutes(): HostRoute[] {
  const result = runIp(["-4", "-json", "route", "show", "table", "all"]);
  if (!result.isDone) throw ipError("read the host's routes", result);
  const routes: unknown = JSON.parse(result.stdout.trim() || "[]");
  return (Array.isArray(routes) ? routes : []).map(decodeRoute).filter((route) => route !== undefined);
}

function decodeRoute(route: unknown): HostRoute | undefined {
  if (typeof route !== "object" || route === null || !("dst" in route)) return undefined;
  const { dst } = route;
  if (typeof dst !== "string") return undefined;
  const network = parseIpv4Network(dst);
  if (network === undefined || network.prefixBits <= DEFAULT_PREFIX_BITS_MAX) return undefined; // or "default"
  return { destination: dst, device: "dev" in route && typeof route.dev === "string" ? route.dev : "" };
}
