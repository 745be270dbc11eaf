/** What a guest is told about destinations without a route: the core in network namespaces with other routes. @module */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { test } from "../../support/harness.ts";

const MAIN = fileURLToPath(new URL("../../support/egress/routes_main.ts", import.meta.url));
const RUNTIME =
  "Bun" in globalThis
    ? [process.execPath, MAIN]
    : [process.execPath, "run", "--allow-all", "--no-check", MAIN];

/** A network on a device that nothing reads, and routes that say no. */
const ROUTES = [
  "ip link set lo up",
  "ip tuntap add quiet mode tun",
  "ip addr add 10.77.0.1/24 dev quiet",
  "ip link set quiet up",
  "ip route add unreachable 10.88.0.0/24",
  "ip route add prohibit 10.89.0.0/24",
];

function namespaceProblem(): string | undefined {
  if (process.getuid?.() !== 0) return "needs root for a network namespace";
  const { status } = spawnSync("unshare", ["--net", "sh", "-c", ROUTES.join(" && ")]);
  return status === 0 ? undefined : "needs unshare, ip and /dev/net/tun";
}

function runWith(...more: readonly string[]): unknown {
  const script = [...ROUTES, ...more, 'exec "$@"'].join(" && ");
  const options = { timeout: 40_000, encoding: "utf8" } as const;
  return JSON.parse(execFileSync("unshare", ["--net", "sh", "-c", script, "sh", ...RUNTIME], options));
}

const missing = namespaceProblem();

test(
  "Egress tells a guest which hosts this machine cannot reach, and gives it no IPv6 address without a way there",
  () => {
    assert.deepEqual(runWith(), {
      noRoute: "unreachable",
      unreachable: "unreachable",
      prohibited: "unreachable",
      linkLocal: "unreachable",
      udp: "unreachable",
      silent: "timedOut",
      addresses: ["198.51.100.1"],
      addresses6: [],
      rcode6: "NOERROR",
    });
  },
  { missing },
);

test(
  "Egress gives a guest IPv6 addresses where a route leads to them",
  () => {
    const found = runWith("ip -6 addr add fd00::1/64 dev quiet", "ip -6 route add 2606:4700::/32 dev quiet");
    assert.deepEqual((found as { addresses6: unknown }).addresses6, ["2606:4700::1"]);
  },
  { missing },
);
