/** Network interfaces of the host. @module */
import { readFileSync } from "node:fs";

/** Whether this process's network namespace has an interface of that name. See proc(5), `/proc/net/dev`. */
export function hasNetworkInterface(name: string): boolean {
  // Not /sys/class/net: that shows the namespace in which /sys was mounted.
  return readFileSync("/proc/net/dev", "utf8")
    .split("\n")
    .some((line) => line.trimStart().startsWith(`${name}:`));
}
